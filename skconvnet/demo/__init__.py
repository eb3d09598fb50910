"""The convolution demo: a page for the browser that shows how a CONV layer and a whole network compute."""

from skconvnet.demo.page import convolution_page

__all__ = ["convolution_page"]
