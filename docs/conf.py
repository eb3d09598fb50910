"""Sphinx builds the documentation from here: ``make docs`` writes it to build/docs. Nothing is downloaded."""

import inspect
import os
import re
from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from matplotlib.sphinxext.plot_directive import PlotDirective
from sphinx.errors import ExtensionError

import skconvnet
from skconvnet.demo import convolution_page

os.environ.setdefault("MPLBACKEND", "Agg")

project = "skconvnet"
author = "skconvnet developers"
copyright = "skconvnet developers, BSD-3-Clause"
release = version = skconvnet.__version__

extensions = [
    "matplotlib.sphinxext.plot_directive",
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["README.md"]
templates_path = ["_templates"]
default_role = "py:obj"  # `ConvNetClassifier` in a docstring is a link, `fit` in a docstring is code

myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 4

add_module_names = False
autosummary_generate = True
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False  # the template lists the methods
numpydoc_xref_param_type = False

plot_formats = [("png", 120)]
plot_html_show_formats = False
plot_html_show_source_link = False
plot_include_source = True
plot_pre_code = ""  # a plot shows all its code, and the tests run what is shown
plot_rcparams = {"figure.figsize": (7, 4), "savefig.bbox": "tight"}

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py",  # every example is executed
    "reset_argv": "docs.command_line.options_of",
    "capture_repr": (),
    "ignore_pattern": r"__init__\.py",
    "backreferences_dir": "reference/examples",
    "doc_module": ("skconvnet",),
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_memory": False,
    "show_signature": False,
    "within_subsection_order": "NumberOfCodeLinesSortKey",
    "write_computation_times": False,
}

html_theme = "pydata_sphinx_theme"
html_title = "skconvnet"
html_static_path = ["_static"]
html_css_files = ["skconvnet.css"]
html_context = {"default_mode": "auto"}
_alone = ("benchmarks", "changelog", "contributing", "glossary", "how-it-works", "index", "quick-start")
html_sidebars = {page: [] for page in (*_alone, "resnet20-cifar10", "which-network")}
html_show_sourcelink = False
html_show_sphinx = False
html_copy_source = False
html_theme_options = {
    "footer_end": [],
    "header_links_before_dropdown": 6,
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "show_nav_level": 1,
    "show_toc_level": 2,
}


class MarkdownPlot(PlotDirective):
    """Matplotlib's directive, which inserts reStructuredText into its page: in Markdown, as a block of it."""

    def run(self):
        """Draw, and return the nodes of the block."""
        lines = []
        self.state_machine.insert_input = lambda text, source: lines.extend(text)
        errors = super().run()
        block = StringList(["````{eval-rst}", *lines, "````"], self.state.document["source"])
        node = nodes.container()
        self.state.nested_parse(block, self.content_offset, node)
        for image in node.findall(nodes.image):
            image["scale"] = (
                100  # Sphinx links images that have a scale to their files, which the page may show smaller
            )
        return errors + node.children


def setup(app):
    """Add what the extensions have no setting for."""
    app.add_directive("plot", MarkdownPlot, override=True)
    app.connect("autodoc-process-docstring", _without_foreign_labels)
    app.connect("autodoc-process-signature", _signature_of_init)
    app.connect("html-page-context", _mend_links_of_source)
    app.connect("build-finished", _write_convolution_demo)
    app.connect("build-finished", _refuse_foreign_files)


def _write_convolution_demo(app, exception):
    """Write the page that convolution-demo.md shows."""
    if exception is None and app.builder.format == "html":
        page = Path(app.outdir, "_static", "convolution-demo.html")
        page.write_text(convolution_page(), encoding="utf-8")


def _refuse_foreign_files(app, exception):
    """Fail if a page loads a script, a style or a picture from elsewhere: the site is read offline."""
    if exception is None and app.builder.format == "html":
        foreign = re.compile(r"""<(?:script|img|iframe|link)\b[^>]*\b(?:src|href)=["'](?:https?:)?//[^"']*""")
        found = {page.name: foreign.findall(page.read_text()) for page in Path(app.outdir).rglob("*.html")}
        if any(found.values()):
            raise ExtensionError(
                f"pages load files from elsewhere: { {page: tags for page, tags in found.items() if tags} }"
            )


def _mend_links_of_source(app, pagename, templatename, context, doctree):
    """Mend links from a file's source back to an object that has another module than the first object of the file."""
    if pagename.startswith("_modules/") and "body" in context:
        link = r'(href="[^"]*/reference/([\w.]*?(\w+))\.html#)[\w.]*?\b\3(?=[".])'
        context["body"] = re.sub(link, r"\1\2", context["body"])


def _without_foreign_labels(app, what, name, obj, options, lines):
    """Write what inherited docstrings link to or set as a formula as text: scikit-learn's pages are not here."""
    for number, line in enumerate(lines):
        line = re.sub(r":(?:ref|term):`(.*?)(?:\s*<[^>]*>)?`", r"\1", line)
        line = re.sub(r"\\frac\{(.*?)\}\{(.*?)\}", r"\1/\2", line)
        lines[number] = re.sub(r":math:`(.*?)`", r"``\1``", line)


def _signature_of_init(app, what, name, obj, options, signature, returned):
    """Show the parameters of `__init__` where autodoc takes those of a `__new__` that passes all on."""
    return (str(inspect.signature(obj)) if signature == "(*arguments, **parameters)" else signature), returned
