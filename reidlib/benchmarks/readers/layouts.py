"""How the folder of each benchmark is laid out, as `reid data tree` prints it."""

from reidlib import pedestrians, rendered

_DRAWN = """\
<data_root>/{name}/                 drawn on first use, by any run
  bounding_box_train/ query/ bounding_box_test/     as in Market-1501
  masks/<split>/*.png captions.jsonl about.json"""
_RENDERED = """\
<data_root>/{name}/                 unpacked by the first run, if shipped
or, as `reid data render {name} <folder>` writes it
  bounding_box_train/ query/ bounding_box_test/     as in Market-1501
  masks/<split>/*.png details/<split>/*.png captions.jsonl scenes/*.jpg about.json"""
_MARKET = """\
<data_root>/market1501/            or Market-1501-v15.09.15/, or nested in it
  bounding_box_train/0002_c1s1_000451_03.jpg
  query/0001_c1s1_001051_00.jpg
  bounding_box_test/0001_c1s1_001051_03.jpg"""
_DUKE = """\
<data_root>/dukemtmcreid/          or DukeMTMC-reID/, or nested in it
  bounding_box_train/0001_c2_f0046182.jpg
  query/0005_c2_f0046985.jpg
  bounding_box_test/0002_c1_f0044158.jpg"""
_OCCLUDED_DUKE = """\
<data_root>/occluded_duke/         or Occluded_Duke/, also in dukemtmcreid/
  bounding_box_train/0001_c2_f0046182.jpg
  query/0019_c1_f0051230.jpg
  bounding_box_test/0002_c1_f0044158.jpg
or the official lists, and DukeMTMC-reID beside or in their folder
  train.list query.list gallery.list        one file name a line
  DukeMTMC-reID/                            as `reid data tree dukemtmcreid` says"""
_CUHK03 = """\
<data_root>/cuhk03np_{kind}/       or cuhk03-np/{kind}/
  bounding_box_train/0003_c1_21.png
  query/ bounding_box_test/        png or jpg, named alike
or the raw release with the configuration of the new protocol
<data_root>/cuhk03/
  cuhk03_new_protocol_config_{kind}.mat
  cuhk-03.mat                      here or in cuhk03_release/
  images_{kind}/1_001_1_01.png     <pair>_<person>_<view>_<image>.png, written
                                   by `reid data extract cuhk03np_{kind} <folder>`"""
_MSMT17 = """\
<data_root>/{name}/                or {folder}/, or MSMT17/
  {train}/0000/0000_000_01_0303morning_0015_0.jpg
  {test}/0000/0000_000_01_0303morning_0036_0.jpg
  list_train.txt list_val.txt      `<path below {train}/> <pid>` a line
  list_query.txt list_gallery.txt  `<path below {test}/> <pid>` a line"""
_V1 = {"folder": "MSMT17_V1", "train": "train", "test": "test"}
_V2 = {"folder": "MSMT17_V2", "train": "mask_train_v2", "test": "mask_test_v2"}
_OCCLUDED_REID = """\
<data_root>/occluded_reid/         or Occluded_REID/
  occluded_body_images/001/001_01.tif       or query/: the queries
  whole_body_images/001/001_01.tif          or gallery/ or bounding_box_test/"""
_PARTIAL_REID = """\
<data_root>/partial_reid/          or Partial_REID/ or Partial-REID_Dataset/
  partial_body_images/001_001.jpg  or occluded_body_images/ or query/: the queries
  whole_body_images/001_001.jpg    or gallery/ or bounding_box_test/
or, in place of these names, Probe.txt and Gallery.txt with one path a line"""
_PARTIAL_ILIDS = """\
<data_root>/partial_ilids/         or Partial_iLIDS/
  partial_body_images/001.jpg      or Probe/ or query/: the queries
  whole_body_images/001.jpg        or Gallery/ or gallery/
or, in place of these names, Probe.txt and Gallery.txt with one path a line"""
_P_DUKE = """\
<data_root>/p_dukemtmcreid/        or P-DukeMTMC-reID/
  train/occluded_body_images/0001/0001_c1_f0055338.jpg
  train/whole_body_images/0001/0001_c2_f0046182.jpg
  test/occluded_body_images/       the queries
  test/whole_body_images/          the gallery"""
_OWN = """\
<folder>/                           of yours; --data names it
  samples.csv                       path,pid,camid,split: a line for each image
  any/folders/an image.jpg          path is as seen from samples.csv; pid and camid are
                                    whole numbers, camid empty where it is not known;
                                    split is train, query or gallery
or, without a table, folders and names as in Market-1501
  bounding_box_train/0002_c1s1_000451_03.jpg        query/        bounding_box_test/
the part mask of a/b/x.jpg is a/masks/b/x.png, captions.jsonl lies beside samples.csv"""
TREES = {
    "cuhk03np_detected": _CUHK03.format(kind="detected"),
    "cuhk03np_labeled": _CUHK03.format(kind="labeled"),
    "dukemtmcreid": _DUKE,
    "market1501": _MARKET,
    "msmt17": _MSMT17.format(name="msmt17", **_V1),
    "msmt17_trainval": _MSMT17.format(name="msmt17_trainval", **_V1),
    "msmt17_v2": _MSMT17.format(name="msmt17_v2", **_V2),
    "msmt17_v2_trainval": _MSMT17.format(name="msmt17_v2_trainval", **_V2),
    "occluded_duke": _OCCLUDED_DUKE,
    "own": _OWN,
    "occluded_reid": _OCCLUDED_REID,
    "p_dukemtmcreid": _P_DUKE,
    "partial_ilids": _PARTIAL_ILIDS,
    "partial_reid": _PARTIAL_REID,
}
TREES |= {name: _DRAWN.format(name=name) for name in pedestrians.RECIPES}
TREES |= {name: _RENDERED.format(name=name) for name in rendered.RECIPES}
