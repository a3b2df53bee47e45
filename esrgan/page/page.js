// What Gradio leaves to a page: names for who does not see, lists that close when they are left, tables that can be scrolled by keys.
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
    }
    let asked = 0;
    const ask = () => { cancelAnimationFrame(asked); asked = requestAnimationFrame(mend); };
    new MutationObserver(ask).observe(document.body, {childList: true, subtree: true});
    addEventListener("resize", ask);
    ask();

    const menu = event => event.target.closest?.(".overflow-menu");
    addEventListener("focusout", event => { if (event.relatedTarget && menu(event)?.contains(event.relatedTarget) === false) document.body.click(); });
    addEventListener("keydown", event => { if (event.key === "Escape" && menu(event)) { menu(event).querySelector("button").focus(); document.body.click(); } });
}
