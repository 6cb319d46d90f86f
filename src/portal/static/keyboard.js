// The software keyboard (ソフトウェアキーボード): letters and digits in an order that is new each time it is opened.
// Without this script its button stays hidden. Only the DOM is used, so the page's policy needs no exceptions.
"use strict";

const LETTERS = "abcdefghijklmnopqrstuvwxyz";
const DIGITS = "0123456789";

/** A copy in random order (Fisher and Yates), from the browser's cryptographic generator. */
function shuffled(text) {
  const items = [...text];
  for (let left = items.length; left > 1; left -= 1) {
    // Values past the last multiple of `left` would make some orders likelier than others.
    const fair = Math.floor(2 ** 32 / left) * left;
    const random = new Uint32Array(1);
    do {
      crypto.getRandomValues(random);
    } while (random[0] >= fair);
    const other = random[0] % left;
    [items[left - 1], items[other]] = [items[other], items[left - 1]];
  }
  return items;
}

function element(name, properties, children = []) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

class Keyboard {
  constructor(opener) {
    this.opener = opener;
    this.words = opener.dataset;
    this.field = document.getElementById(this.words.keyboard);
    this.panel = null;
    this.capitals = false;
    opener.setAttribute("aria-controls", `${this.field.id}-keyboard`);
    opener.addEventListener("click", () => (this.panel ? this.close() : this.open()));
    opener.hidden = false;
  }

  open() {
    this.capitals = false;
    this.letters = shuffled(LETTERS).map((letter) => this.key(letter));
    const digits = shuffled(DIGITS).map((digit) => this.key(digit));
    this.shift = this.button(this.words.shift, () => this.setCapitals(!this.capitals));
    this.shift.setAttribute("aria-pressed", "false");
    const rest = [
      this.shift,
      this.button(this.words.back, () => this.set(this.field.value.slice(0, -1))),
      this.button(this.words.clear, () => this.set("")),
      this.button(this.words.close, () => this.close()),
    ];
    this.count = element("span", {});
    this.count.setAttribute("role", "status");
    const head = element("div", { className: "keyboard-head" }, [
      element("strong", { textContent: this.words.title }),
      this.count,
    ]);
    this.panel = element("div", { className: "keyboard", id: `${this.field.id}-keyboard` }, [
      head,
      element("div", { className: "keys" }, digits),
      element("div", { className: "keys" }, this.letters),
      element("div", { className: "keys wide-keys" }, rest),
    ]);
    this.panel.setAttribute("role", "group");
    this.panel.setAttribute("aria-label", this.words.title);
    this.panel.addEventListener("keydown", (event) => this.move(event));
    this.all = [...digits, ...this.letters, ...rest];
    for (const key of this.all) key.tabIndex = -1;
    this.opener.after(this.panel);
    this.opener.setAttribute("aria-expanded", "true");
    this.tell();
    this.focus(this.all[0]);
  }

  close() {
    this.panel.remove();
    this.panel = null;
    this.opener.setAttribute("aria-expanded", "false");
    this.opener.focus();
  }

  button(text, act) {
    const button = element("button", { type: "button", className: "key", textContent: text });
    button.addEventListener("click", act);
    // One key at a time is in the tab order: the arrow keys reach the others.
    button.addEventListener("focus", () => this.focus(button));
    return button;
  }

  key(character) {
    const key = this.button(character, () => this.type(key.textContent));
    return key;
  }

  type(character) {
    const most = this.field.maxLength;
    if (most < 0 || this.field.value.length < most) this.set(this.field.value + character);
  }

  set(value) {
    this.field.value = value;
    this.field.dispatchEvent(new Event("input", { bubbles: true }));
    this.tell();
  }

  /** How many characters there are: what they are is nobody's business. */
  tell() {
    this.count.textContent = this.words.count + this.field.value.length;
  }

  setCapitals(capitals) {
    this.capitals = capitals;
    this.shift.setAttribute("aria-pressed", String(capitals));
    for (const key of this.letters) {
      key.textContent = capitals ? key.textContent.toUpperCase() : key.textContent.toLowerCase();
    }
  }

  focus(key) {
    for (const other of this.all) other.tabIndex = other === key ? 0 : -1;
    if (document.activeElement !== key) key.focus();
  }

  move(event) {
    if (event.key === "Escape") {
      event.preventDefault();
      this.close();
      return;
    }
    const at = this.all.indexOf(document.activeElement);
    const to = { Home: 0, End: this.all.length - 1, ArrowLeft: at - 1, ArrowRight: at + 1 }[event.key];
    const vertical = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (at < 0 || (to === undefined && vertical === undefined)) return;
    event.preventDefault();
    const next = vertical ? this.above(this.all[at], vertical) : this.all[to];
    if (next) this.focus(next);
  }

  /** The nearest key in the next row, however many columns there is room for. */
  above(key, direction) {
    const place = (other) => other.getBoundingClientRect();
    const from = place(key);
    const rows = this.all.filter((other) => (place(other).top - from.top) * direction > 1);
    const row = Math.min(...rows.map((other) => Math.abs(place(other).top - from.top)));
    const middle = (box) => box.left + box.width / 2;
    return rows
      .filter((other) => Math.abs(place(other).top - from.top) < row + 1)
      .sort((a, b) => Math.abs(middle(place(a)) - middle(from)) - Math.abs(middle(place(b)) - middle(from)))[0];
  }
}

for (const opener of document.querySelectorAll("[data-keyboard]")) new Keyboard(opener);
