// The stage: pictures of one size under one zoom and one pan. `props.value` is
// {layers: [{name, label, url, pending}], size: [width, height], focus: [x, y], left, right}, and perhaps
// patch: {box: [left, top, right, bottom], urls: {name: url}}, newer parts of pictures; places are pixels of the pictures.
// What is seen of them is told in `data-seen`.
const stage = element.querySelector(".stage"), views = stage.querySelector(".views"), choices = stage.querySelector(".choices");
const output = stage.querySelector("output"), buttons = Object.fromEntries([...stage.querySelectorAll("[data-do]")].map(b => [b.dataset.do, b]));
const LARGEST = 16, STEP = 1.5, view = {x: 0, y: 0, scale: 1, split: 0.5, mode: "wipe", left: 0, right: 0, held: false, key: ""};
let layers = [], size = [1, 1], shown = [], patch = null;
const exact = () => 1 / (window.devicePixelRatio || 1);
const room = () => shown.length ? [shown[0].clientWidth || 1, shown[0].clientHeight || 1] : [views.clientWidth || 1, views.clientHeight || 1];
const fit = () => Math.min(room()[0] / size[0], room()[1] / size[1], exact() * LARGEST);
const clamp = (value, low, high) => Math.max(low, Math.min(high, value));

function build() {
    const side = view.mode === "side", wanted = side ? layers.map((_, i) => i) : [view.left, view.right];
    const focused = stage.contains(document.activeElement) ? document.activeElement : null, key = focused?.dataset.layer;
    views.className = `views ${view.mode}`;
    const across = side ? (views.clientWidth < 600 ? 2 : Math.min(wanted.length, views.clientWidth < 900 ? 2 : 4)) : 1;
    views.style.setProperty("--across", across);
    views.replaceChildren(...wanted.map((index, place) => {
        const layer = layers[index], pane = document.createElement("div"), image = document.createElement("img"), label = document.createElement("span");
        pane.className = `pane${layer.pending ? " pending" : ""}`;
        image.src = layer.url; image.alt = layer.label; image.draggable = false;
        image.style.width = `${size[0]}px`; image.style.height = `${size[1]}px`;
        label.className = `label ${side || place === 0 ? "left" : "right"}`;
        label.textContent = layer.label + (layer.pending ? ": being computed …" : "");
        pane.append(image, label); pane.dataset.index = index;
        return pane;
    }));
    shown = [...views.children];
    lay();
    if (!side) {
        const handle = document.createElement("div");
        handle.className = "handle"; handle.tabIndex = 0; handle.setAttribute("role", "slider"); handle.setAttribute("aria-label", "Where the two pictures meet");
        handle.setAttribute("aria-valuemin", 0); handle.setAttribute("aria-valuemax", 100);
        views.append(handle);
    }
    const overview = document.createElement("div"), small = document.createElement("img");
    overview.className = "overview"; small.src = layers[0].url; small.alt = "";
    const longest = Math.max(...size); overview.style.width = `${110 * size[0] / longest}px`; overview.style.height = `${110 * size[1] / longest}px`;
    overview.append(small, document.createElement("i")); views.append(overview);
    choices.replaceChildren(...layers.map((layer, index) => {
        const button = document.createElement("button");
        button.type = "button"; button.textContent = layer.label; button.dataset.layer = index;
        button.setAttribute("aria-keyshortcuts", index + 1);
        return button;
    }));
    const again = key ? choices.children[key] : focused?.classList.contains("handle") && (views.querySelector(".handle") || views);
    again?.focus?.({preventScroll: true});
    draw();
}

function lay() {
    for (const pane of shown) {
        pane.querySelector(".patch")?.remove();
        const url = patch?.urls[layers[pane.dataset.index].name];
        if (!url) continue;
        const part = document.createElement("img"), [left, top, right, bottom] = patch.box;
        part.className = "patch"; part.src = url; part.alt = ""; part.draggable = false;
        part.style.width = `${right - left}px`; part.style.height = `${bottom - top}px`;
        pane.querySelector("img").after(part);
    }
}

function draw() {
    if (!layers.length) return;
    const [width, height] = room(), least = Math.min(fit(), exact());
    view.scale = clamp(view.scale, least, exact() * LARGEST);
    const half = [width / 2 / view.scale, height / 2 / view.scale];
    [view.x, view.y] = [view.x, view.y].map((c, i) => size[i] <= 2 * half[i] ? size[i] / 2 : clamp(c, half[i], size[i] - half[i]));
    const snap = value => Math.round(value / exact()) * exact();  // so that pixels meet pixels
    const left = snap(width / 2 - view.x * view.scale), top = snap(height / 2 - view.y * view.scale);
    shown.forEach((pane, place) => {
        const image = pane.querySelector("img");
        image.style.transform = `translate(${left}px, ${top}px) scale(${view.scale})`;
        const part = pane.querySelector(".patch");
        if (part) {
            part.style.transform = `translate(${left + patch.box[0] * view.scale}px, ${top + patch.box[1] * view.scale}px) scale(${view.scale})`;
            part.style.visibility = view.held ? "hidden" : "inherit";
        }
        pane.classList.toggle("pixels", view.scale >= exact());
        if (view.mode === "wipe" && place === 1) pane.style.clipPath = `inset(0 0 0 ${100 * view.split}%)`;
        if (view.mode === "wipe") pane.style.visibility = view.held && place === 1 ? "hidden" : "visible";
        if (view.mode === "wipe" && place === 0) {
            const layer = layers[view.held ? 0 : view.left];
            if (image.getAttribute("src") !== layer.url) { image.src = layer.url; pane.querySelector(".label").textContent = layer.label; }
        }
    });
    const handle = views.querySelector(".handle");
    if (handle) { handle.style.left = `${100 * view.split}%`; handle.setAttribute("aria-valuenow", Math.round(100 * view.split)); handle.classList.toggle("away", view.held); }
    const overview = views.querySelector(".overview"), frame = overview.querySelector("i"), part = Math.max(...size) / 110;
    const zoomed = view.scale > fit() * 1.01;
    overview.hidden = !zoomed; views.classList.toggle("zoomed", zoomed);
    frame.style.left = `${clamp(view.x - half[0], 0, size[0]) / part}px`; frame.style.top = `${clamp(view.y - half[1], 0, size[1]) / part}px`;
    frame.style.width = `${Math.min(2 * half[0], size[0]) / part}px`; frame.style.height = `${Math.min(2 * half[1], size[1]) / part}px`;
    const seen = [0, 1].map(i => [view.x, view.y][i] - half[i]).concat([0, 1].map(i => [view.x, view.y][i] + half[i]));
    stage.dataset.seen = seen.map((side, i) => Math.round(clamp(side, 0, size[i % 2]))).join(", ");
    output.textContent = `${Math.round(100 * view.scale / exact())} %`;
    for (const button of choices.children) button.setAttribute("aria-pressed", Number(button.dataset.layer) === view.right);
    buttons.wipe.setAttribute("aria-pressed", view.mode === "wipe"); buttons.side.setAttribute("aria-pressed", view.mode === "side");
    buttons.hold.textContent = `Hold: ${layers[0].label}`;
}

function zoom(factor, at) {
    const [width, height] = room(), before = view.scale;
    view.scale = clamp(before * factor, Math.min(fit(), exact()), exact() * LARGEST);
    const [dx, dy] = at ? [at[0] - width / 2, at[1] - height / 2] : [0, 0];
    view.x += dx / before - dx / view.scale; view.y += dy / before - dy / view.scale;
    draw();
}

function choose(index) {
    if (index < 0 || index >= layers.length) return;
    view.right = index;
    if (view.mode === "wipe") build();
    else { draw(); shown[index].scrollIntoView({block: "nearest"}); }
}

const actions = {
    wipe: () => { view.mode = "wipe"; build(); }, side: () => { view.mode = "side"; build(); },
    in: () => zoom(STEP), out: () => zoom(1 / STEP), exact: () => zoom(exact() / view.scale), fit: () => zoom(fit() / view.scale),
    full: () => document.fullscreenElement ? document.exitFullscreen() : stage.requestFullscreen?.(),
};
const hold = held => { if (view.mode !== "wipe") return; view.held = held; draw(); };
stage.querySelector(".bar").addEventListener("click", event => {
    const button = event.target.closest("button"); if (!button) return;
    if (button.dataset.layer) choose(Number(button.dataset.layer)); else actions[button.dataset.do]?.();
});
buttons.hold.addEventListener("pointerdown", () => hold(true));
for (const over of ["pointerup", "pointerleave", "pointercancel", "blur"]) buttons.hold.addEventListener(over, () => hold(false));
for (const [kind, held] of [["keydown", true], ["keyup", false]])
    buttons.hold.addEventListener(kind, event => { if (event.key === " " || event.key === "Enter") { event.preventDefault(); hold(held); } });

views.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const far = 60 / view.scale, on_handle = event.target.classList.contains("handle");
    const moves = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};
    if (/^[1-9]$/.test(event.key)) choose(Number(event.key) - 1);
    else if (event.key === "+" || event.key === "=") zoom(STEP);
    else if (event.key === "-") zoom(1 / STEP);
    else if (event.key === " ") hold(true);
    else if (on_handle && moves[event.key]?.[0]) { view.split = clamp(view.split + 0.02 * moves[event.key][0], 0, 1); draw(); }
    else if (moves[event.key]) { view.x += far * moves[event.key][0]; view.y += far * moves[event.key][1]; draw(); }
    else return;
    event.preventDefault();
});
addEventListener("keyup", event => { if (event.key === " " && view.held) hold(false); });

const fingers = new Map();
let wiping = false, spread = 0;
const place = event => { const box = shown[0].getBoundingClientRect(), own = event.target.closest?.(".pane")?.getBoundingClientRect() || box;
    return [event.clientX - (view.mode === "side" ? own.left : box.left), event.clientY - (view.mode === "side" ? own.top : box.top)]; };
views.addEventListener("pointerdown", event => {
    if (event.button || !layers.length) return;
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    wiping = event.target.classList.contains("handle"); spread = 0;
    if (event.pointerType === "mouse" || wiping || views.classList.contains("zoomed")) views.setPointerCapture(event.pointerId);
    views.classList.add("moving");
});
views.addEventListener("pointermove", event => {
    const from = fingers.get(event.pointerId); if (!from) return;
    const to = [event.clientX, event.clientY]; fingers.set(event.pointerId, to);
    if (wiping) { const box = views.getBoundingClientRect(); view.split = clamp((to[0] - box.left) / box.width, 0, 1); return draw(); }
    if (fingers.size === 2) {
        const [a, b] = [...fingers.values()], now = Math.hypot(a[0] - b[0], a[1] - b[1]), box = shown[0].getBoundingClientRect();
        if (spread) zoom(now / spread, [(a[0] + b[0]) / 2 - box.left, (a[1] + b[1]) / 2 - box.top]);
        spread = now; return;
    }
    view.x -= (to[0] - from[0]) / view.scale; view.y -= (to[1] - from[1]) / view.scale; draw();
});
for (const end of ["pointerup", "pointercancel", "lostpointercapture"])
    views.addEventListener(end, event => { fingers.delete(event.pointerId); if (!fingers.size) { wiping = false; views.classList.remove("moving"); } spread = 0; });
views.addEventListener("wheel", event => {
    if (!event.ctrlKey && !event.metaKey) return;  // else the page scrolls
    event.preventDefault(); zoom(Math.exp(-event.deltaY / 200), place(event));
}, {passive: false});
views.addEventListener("dblclick", event => zoom(view.scale > exact() * 1.01 ? exact() / view.scale : 2 * exact() / view.scale, place(event)));

let is_new = true;
function update() {
    const value = props.value;
    if (value?.patch && !is_new) {  // of a look at another detail, which may come late: it lies over nothing but what it is of
        const over = value.layers.filter(one => !one.pending).map(one => one.url);
        if (value.key === view.key && over.every(url => layers.some(layer => layer.url === url))) { patch = value.patch; lay(); draw(); }
        return;
    }
    is_new = false;
    stage.classList.toggle("empty", !value?.layers?.length);
    if (!value?.layers?.length) { layers = []; patch = null; view.key = ""; return; }
    const other = view.key !== value.key, old = other ? [] : layers; view.key = value.key;
    layers = value.layers.map(layer => layer.pending ? {...layer, url: old.find(one => one.name === layer.name)?.url ?? layer.url} : layer);
    size = value.size;
    patch = value.patch ?? (!other && layers.some(layer => layer.pending) ? patch : null);
    const index = name => Math.max(0, layers.findIndex(layer => layer.name === name));
    if (other) { view.left = index(value.left); view.held = false; }
    if (other || view.asked !== value.right) view.right = index(value.right);
    view.asked = value.right;
    view.left = Math.min(view.left, layers.length - 1); view.right = Math.min(view.right, layers.length - 1);
    build();
    if (other) {
        const [width, height] = room(), covering = Math.max(width / size[0], height / size[1]) / exact();
        view.scale = exact() * clamp(Math.ceil(covering), 1, 3);  // a small photo fills the stage by whole pixels
        [view.x, view.y] = value.focus || [size[0] / 2, size[1] / 2];
        draw();
    }
}
buttons.full.hidden = !document.fullscreenEnabled;
watch("value", update);
new ResizeObserver(() => { if (layers.length) draw(); }).observe(views);
update();
