// What Gradio leaves to a page: an address for each tab, photos that are dropped or pasted anywhere, names for who does not see, lists
// that close when they are left, tables that can be scrolled by keys, refusals that stay by the photo they are about.
() => {
    const all = selector => document.querySelectorAll(selector);
    function mend() {
        for (const image of all("button.gallery-item img[alt='']"))
            image.alt = decodeURIComponent(image.src.split("/").pop()).replace(/\.\w+$/, "").replaceAll("_", " ");
        for (const around of all("button:has(button)")) {  // the inner one does it all
            around.tabIndex = -1; around.role = "group"; around.ariaLabel = around.title = "Add photos";
        }
        for (const table of all(".figures"))
            if (table.scrollWidth > table.clientWidth) { table.tabIndex = 0; table.role = "group"; table.ariaLabel = "Table"; }
            else table.removeAttribute("tabindex");
        for (const toast of all(".toast-body")) {  // of a file that is too large or no picture, in a corner where it fades
            const told = [...toast.querySelectorAll("[data-testid=toast-text]")].map(text => text.textContent).join(" ");
            if (told.includes("allowed") && panel()) { refuse(told); toast.querySelector("[data-testid=toast-close]").click(); }
        }
        speak();
    }
    const status = Object.assign(document.createElement("p"), {className: "spoken", role: "status"});
    document.body.append(status);
    let headline = null;
    function speak() {  // for who does not see it: how a job stands, once a headline, not at every tile
        const verdict = [...all(".verdict")].find(element => element.checkVisibility()), now = verdict?.querySelector("h2")?.textContent;
        if (!now || now === headline) return;
        if (headline !== null) status.textContent = `${now}. ${verdict.querySelector("h2 ~ p")?.textContent ?? ""}`;
        headline = now;
    }
    function refuse(told) {
        forgive();
        const refusal = Object.assign(document.createElement("p"), {className: "refusal", role: "alert", textContent: told});
        panel().querySelector(".drop").after(refusal);
    }
    const forgive = () => panel()?.querySelector(".refusal")?.remove();
    document.addEventListener("change", event => { if (event.target.type === "file") forgive(); }, true);
    document.addEventListener("drop", forgive, true);
    document.addEventListener("click", event => { if (event.target.closest?.(".gallery-item")) forgive(); }, true);
    let asked = 0;
    const ask = () => { cancelAnimationFrame(asked); asked = requestAnimationFrame(mend); };
    new MutationObserver(ask).observe(document.body, {childList: true, subtree: true});
    addEventListener("resize", ask);
    ask();

    const menu = event => event.target.closest?.(".overflow-menu");
    addEventListener("focusout", event => { if (event.relatedTarget && menu(event)?.contains(event.relatedTarget) === false) document.body.click(); });
    addEventListener("keydown", event => { if (event.key === "Escape" && menu(event)) { menu(event).querySelector("button").focus(); document.body.click(); } });

    const TABS = "[role=tab], .overflow-dropdown button";
    const address = tab => "#" + tab.textContent.trim().toLowerCase().replace(/[^a-z0-9]+/g, "-");
    const open = hash => {
        const tabs = [...all(TABS)];
        (tabs.find(tab => address(tab) === hash) || tabs[0])?.click();
    };
    document.addEventListener("click", event => {
        const tab = event.target.closest?.(TABS);
        if (tab && address(tab) !== (location.hash || address(document.querySelector(TABS)))) history.pushState(null, "", address(tab));
    }, true);  // before the tab opens and asks for its address
    window.addEventListener("popstate", () => open(location.hash));
    if (location.hash) open(location.hash);

    const panel = () => [...all("[role=tabpanel]")].find(element => element.checkVisibility() && element.querySelector(".drop"));
    const PATIENCE = 120;  // frames until a tab is there
    async function take(files) {
        if (!panel()) open("");  // from a tab that takes no photos
        const input = () => panel()?.querySelector("input[type=file]");
        for (let frame = 0; !input() && frame < PATIENCE; frame++) await new Promise(requestAnimationFrame);
        if (!input()) return panel() && refuse("Close the camera first, and give the photo again.");
        const chosen = new DataTransfer();
        for (const file of input().multiple ? files : files.slice(0, 1)) chosen.items.add(file);
        input().files = chosen.files;
        input().dispatchEvent(new Event("change"));
    }
    const mark = over => document.body.classList.toggle("dropping", over);
    const on_files = (event, act) => { if (event.dataTransfer?.types.includes("Files")) { event.preventDefault(); act(); } };
    window.addEventListener("dragover", event => on_files(event, () => mark(true)));
    window.addEventListener("dragleave", event => { if (!event.relatedTarget) mark(false); });
    window.addEventListener("drop", () => mark(false), true);
    window.addEventListener("drop", event => on_files(event, () => take([...event.dataTransfer.files])));
    document.addEventListener("paste", event => {
        const {type, isContentEditable} = event.target, files = [...event.clipboardData.files];
        if (!files.length || isContentEditable || /^(text|number|search)/.test(type || "")) return;
        event.preventDefault();
        take(files);
    });
}
