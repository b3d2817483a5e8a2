// What people should know although the page goes on: it stays until they hide it.

export class Notes {
  /** Notes in an element with a <ul> and a button that hides them. */
  constructor(element) {
    this.element = element;
    this.list = element.querySelector("ul");
    element.querySelector("button").addEventListener("click", () => {
      this.list.replaceChildren();
      element.hidden = true;
    });
  }

  add(sentence) {
    const item = document.createElement("li");
    item.textContent = sentence;
    this.list.append(item);
    this.element.hidden = false;
    item.scrollIntoView({ block: "nearest" });
  }
}
