// The blind test. `props.value` is {rounds: [[left, photo, right], …]}, addresses of pictures; and, once it is over,
// `told`: [[caption, "The photo", caption], …] and `chosen`: [0 or 1, …].
const box = element.querySelector(".blind"), question = box.querySelector(".question"), three = box.querySelector(".three");
const told = box.querySelector(".told"), images = [...three.querySelectorAll("img")];
let rounds = [], choices = [];

function ask() {
    question.textContent = `Round ${choices.length + 1} of ${rounds.length}: which is closer to the photo?`;
    rounds[choices.length].forEach((url, place) => { images[place].src = url; });
    for (const url of rounds[choices.length + 1] || []) new Image().src = url;  // so that the next ones are there at once
}

function choose(choice) {
    if (choices.length >= rounds.length) return;
    choices.push(choice);
    if (choices.length < rounds.length) return ask();
    question.textContent = "Counting …";
    three.hidden = true;
    trigger("finish", {choices});
}

function tell(value) {
    told.replaceChildren(...value.rounds.map((urls, index) => {
        const item = document.createElement("li"), row = document.createElement("div");
        item.textContent = `Round ${index + 1}`; row.className = "three";
        row.append(...urls.map((url, place) => {
            const figure = document.createElement("figure"), image = document.createElement("img"), caption = document.createElement("figcaption");
            image.src = url; image.alt = value.told[index][place].split("\n")[0]; caption.className = "caption"; caption.innerText = value.told[index][place];
            if (place === 2 * value.chosen[index]) figure.className = "chosen";
            figure.append(image, caption);
            return figure;
        }));
        item.append(row);
        return item;
    }));
}

function update() {
    const value = props.value, over = Boolean(value?.told);
    rounds = over ? [] : value?.rounds || []; choices = [];
    box.hidden = !value?.rounds; question.hidden = three.hidden = over; told.hidden = !over;
    box.classList.toggle("asking", !over);
    if (over) tell(value);
    if (rounds.length) ask();
    if (rounds.length || over) box.focus({preventScroll: true});
}
three.addEventListener("click", event => { const button = event.target.closest("button"); if (button) choose(Number(button.dataset.choice)); });
box.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey || !["1", "2"].includes(event.key)) return;
    event.preventDefault(); choose(Number(event.key) - 1);
});
watch("value", update);
update();
