// Window and level: which values are black and which white. Changes what is seen, never the image or its boxes.

const SMALLEST = 1; // the narrowest window, in values

/** The full range is what the package shows: "as it is". */
export class Window {
  /** `onChange()` is called after anything visible changed. */
  constructor({ onChange }) {
    Object.assign(this, { onChange, image: null, values: null, kept: new Map() });
    Object.assign(this, { largest: 255, white: 255, low: 0, high: 255 });
  }

  get isOn() {
    return this.low !== 0 || this.high !== this.white;
  }

  get level() {
    return (this.low + this.high) / 2;
  }

  get width() {
    return this.high - this.low;
  }

  /** Shows a loaded image; `load()` gives the file's own values where they are finer than the 8 bits shown, or null. */
  show(image, load) {
    this.#keep();
    Object.assign(this, { image, load, values: null, loading: null, canvas: null });
    Object.assign(this, { largest: 255, white: 255, low: 0, high: 255 });
    this.#draw();
  }

  reset() {
    this.#keep();
    this.#set(0, this.white);
  }

  /** Takes the last window back, or away. */
  async toggle() {
    if (!(await this.#prepare())) return;
    const [low, high] = this.kept.get(this.largest) ?? [this.low, this.high];
    if (this.isOn) this.reset();
    else this.#set(low, high);
  }

  /** Moves the level by a share of the width, and the width by a factor: a drag is as fine as the window is. */
  async adjust(level, width) {
    if (!(await this.#prepare())) return;
    const next = Math.min(Math.max(this.width * Math.exp(3 * width), SMALLEST), 2 * this.white);
    const middle = Math.min(Math.max(this.level + level * this.width, 0), this.white);
    this.#set(middle - next / 2, middle + next / 2);
  }

  #keep() {
    if (this.isOn) this.kept.set(this.largest, [this.low, this.high]);
  }

  #set(low, high) {
    Object.assign(this, { low, high });
    this.#draw();
  }

  /**
   * The values are asked for once, at the first change; where they do not come, the 8 bits are shown. Whether the image
   * is still the one that the change was meant for.
   */
  async #prepare() {
    const { image } = this;
    this.loading ??= Promise.resolve(this.load?.())
      .catch(() => null)
      .then((found) => {
        if (found && this.image === image) Object.assign(this, found, { low: 0, high: found.white });
      });
    await this.loading;
    return this.image === image;
  }

  #draw() {
    if (!this.image) return;
    if (this.values) this.#drawValues();
    else this.#filter();
    this.onChange();
  }

  /** 8 bits: the browser's own linear map of every channel. */
  #filter() {
    for (const part of document.querySelectorAll("#window feComponentTransfer > *")) {
      part.setAttribute("slope", String(255 / this.width));
      part.setAttribute("intercept", String(-this.low / this.width));
    }
    this.image.style.setProperty("filter", this.isOn ? "url(#window)" : "none");
  }

  #drawValues() {
    if (!this.canvas) {
      this.canvas = document.createElement("canvas");
      Object.assign(this.canvas, { width: this.size[0], height: this.size[1], className: "windowed" });
      this.canvas.style.cssText = this.image.style.cssText; // its place; later ones the stage gives to both
      this.image.after(this.canvas);
      this.pixels = new ImageData(...this.size);
    }
    this.canvas.hidden = !this.isOn;
    if (!this.isOn) return;
    const grays = new Uint32Array(this.largest + 1);
    for (let value = 0; value <= this.largest; value++) {
      const gray = Math.round(Math.min(Math.max((255 * (value - this.low)) / this.width, 0), 255));
      grays[value] = 0xff000000 | (gray << 16) | (gray << 8) | gray;
    }
    const shown = new Uint32Array(this.pixels.data.buffer);
    for (let i = 0; i < this.values.length; i++) shown[i] = grays[this.values[i]];
    this.canvas.getContext("2d").putImageData(this.pixels, 0, 0);
  }
}
