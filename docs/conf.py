"""The site: notebooks, executed pages, documents and the API. `make site` builds it.

Nothing is executed, and no model is imported: the API is read from the files.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from reidlib import __version__

sys.path.insert(0, str(Path(__file__).parent))
import site_pages

ROOT = Path(__file__).parents[1]

project = "Four papers on person re-identification"
html_title = "reidlib"
author = copyright = "The reidlib authors"
version = release = __version__
root_doc = "docs/index"
extensions = ["myst_nb", "autoapi.extension", "sphinx.ext.mathjax"]
include_patterns = [
    *("docs/**", "*.md", "bench/README.md"),
    *("notebooks/**/*.ipynb", "notebooks/*.ipynb"),
    *site_pages.executed(ROOT),
]
exclude_patterns = ["**/.ipynb_checkpoints", "docs/_*", "docs/conf.py"]
templates_path = ["_templates"]

nb_execution_mode = "off"
nb_code_prompt_show = nb_code_prompt_hide = "{type}"
nb_render_markdown_format = "myst"
nb_ipywidgets_js = {}  # they would be fetched from a network
myst_enable_extensions = ["dollarmath", "attrs_block"]
myst_heading_anchors = 3
suppress_warnings = [
    "mystnb.unknown_mime_type",
    "autoapi.python_import_resolution",  # names that are handed on lazily
    "ref.python",  # a type's short name that two rooms have
]

autoapi_dirs = [str(ROOT / "reidlib"), str(ROOT / "reidrun")]
autoapi_root = "docs/api"
autoapi_add_toctree_entry = False
autoapi_options = ["members", "undoc-members"]
autoapi_member_order = "bysource"
autoapi_python_class_content = "class"

html_theme = "pydata_sphinx_theme"
MATHJAX = Path(find_spec("sphinx-mathjax-offline").origin).parent  # from no network
html_static_path = ["_static", str(MATHJAX / "static")]
mathjax_path = "mathjax/tex-chtml.js"
html_css_files = ["site.css"]
html_additional_pages = {"index": "front.html"}
html_copy_source = html_show_sourcelink = False
html_theme_options = {
    "navbar_align": "left",
    "header_links_before_dropdown": 7,
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
}


def read_page(app: Sphinx, name: str, source: list[str]) -> None:
    """Prepare a notebook for the site, or say on its page why there is none."""
    path = Path(app.env.doc2path(name))
    if path.suffix == ".ipynb":
        source[0], fault = site_pages.page(source[0], path, ROOT)
        if fault:  # said also where only warnings are, and yet no warning
            print(f"{path.relative_to(ROOT)}: {fault}", file=sys.stderr)


def set_docstring(app: Sphinx, what: str, name: str, obj, options, lines) -> None:
    """Set a docstring as it was written."""
    lines[:] = site_pages.as_rst(lines)


def add_equations(app: Sphinx, what: str, name: str, obj, skip: bool, options) -> None:
    """Put under a docstring the equations of the lesson that shows it, once."""
    lines = site_pages.equations(ROOT).get(name, [])
    if lines and lines[1] not in obj.docstring:
        obj.docstring += "\n" + "\n".join(lines)


class ResultsPicture(SphinxDirective):
    """The results in one picture."""

    def run(self) -> list[nodes.Node]:
        """Take it from the page of all results."""
        chart = nodes.raw("", site_pages.picture(ROOT), format="html")
        return [nodes.container("", chart, classes=["results-picture"])]


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect all of it."""
    app.connect("source-read", read_page)
    app.add_directive("results-picture", ResultsPicture)
    app.connect("autodoc-process-docstring", set_docstring)
    app.connect("autoapi-skip-member", add_equations)
    return {"parallel_read_safe": True}
