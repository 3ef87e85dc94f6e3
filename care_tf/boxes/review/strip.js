// The strip of thumbnails: only those in sight exist, and they are loaded one or two at a time once scrolling rests.

const HEIGHT_PX = 68; // of an entry, as page.css has it
const BEYOND = 3; // entries above and below those in sight
const AT_ONCE = 2; // the image itself and the decisions need connections, too
const REST_MS = 120;
const KEPT = 300; // entries that keep their picture

export class Strip {
  /** `onJump(index)` is called for a click; `mark(item)` is what is written on an entry: {state, sign, title}. */
  constructor(root, { onJump, mark }) {
    Object.assign(this, { root, onJump, mark, items: [], current: -1, entries: new Map(), numLoading: 0 });
    this.inside = root.querySelector("div");
    root.addEventListener("scroll", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(root);
  }

  show(items) {
    this.items = items;
    this.inside.style.setProperty("height", `${items.length * HEIGHT_PX}px`);
    this.draw();
  }

  /** Marks an entry as the one on the stage, -1 for none, and brings it into sight. */
  select(index) {
    if (index !== this.current && index >= 0) {
      const [top, height] = [index * HEIGHT_PX, this.root.clientHeight];
      if (top < this.root.scrollTop || top + HEIGHT_PX > this.root.scrollTop + height) {
        this.root.scrollTop = top - (height - HEIGHT_PX) / 2;
      }
    }
    this.current = index;
    this.draw();
  }

  draw() {
    const { scrollTop, clientHeight } = this.root;
    this.first = Math.max(Math.floor(scrollTop / HEIGHT_PX) - BEYOND, 0);
    this.last = Math.min(Math.ceil((scrollTop + clientHeight) / HEIGHT_PX) + BEYOND, this.items.length) - 1;
    const shown = [];
    for (let index = this.first; index <= this.last && clientHeight; index++) shown.push(this.#entry(index));
    const present = new Set(shown);
    for (const node of [...this.inside.children]) if (!present.has(node)) node.remove();
    for (const node of shown) if (!node.isConnected) this.inside.append(node);
    clearTimeout(this.rest);
    this.rest = setTimeout(() => this.#load(), REST_MS);
  }

  #entry(index) {
    let node = this.entries.get(index);
    if (!node) {
      node = document.createElement("button");
      node.type = "button";
      node.tabIndex = -1;
      node.append(new Image(), document.createElement("span"));
      node.firstChild.alt = "";
      node.style.setProperty("top", `${index * HEIGHT_PX}px`);
      node.addEventListener("click", () => this.onJump(index));
      this.entries.set(index, node);
      for (const [old, other] of this.entries) {
        if (this.entries.size <= KEPT) break;
        if (!other.isConnected && old !== index) this.entries.delete(old);
      }
    }
    const { state, sign, title } = this.mark(this.items[index]);
    node.className = state;
    node.classList.toggle("current", index === this.current);
    node.lastChild.textContent = sign;
    node.title = `${index + 1}. ${title}`;
    return node;
  }

  #load() {
    for (let index = this.first; index <= this.last && this.numLoading < AT_ONCE; index++) {
      const image = this.entries.get(index)?.firstChild;
      if (!image || image.hasAttribute("src")) continue;
      this.numLoading++;
      image.onload = image.onerror = () => {
        this.numLoading--;
        this.#load();
      };
      image.src = `thumbnails/${this.items[index].number}`;
    }
  }
}
