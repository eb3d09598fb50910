// The tabs of the page.

const TABS = [...document.querySelectorAll("[role=tab]")];

function select(tab) {
  for (const other of TABS) {
    other.setAttribute("aria-selected", other === tab);
    other.tabIndex = other === tab ? 0 : -1;
    byId(other.getAttribute("aria-controls")).hidden = other !== tab;
  }
}

for (const [i, tab] of TABS.entries()) {
  tab.addEventListener("click", () => select(tab));
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step === undefined) return;
    const next = TABS[(i + step + TABS.length) % TABS.length];
    select(next);
    next.focus();
  });
}

const convolutionView = new ConvolutionView();
new NetworkView();
byId("tab-network").addEventListener("click", () => convolutionView.play(false));
