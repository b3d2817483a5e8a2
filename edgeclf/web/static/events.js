// Events that a server sends in one answer: lines of `data: JSON`, an empty line after each.

/** The parsed JSON of every event of a Response, as it comes: `for await`. */
export class Events {
  constructor(response) {
    this.response = response;
  }

  async *[Symbol.asyncIterator]() {
    const reader = this.response.body.getReader();
    const decoder = new TextDecoder();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      rest += decoder.decode(value, { stream: !done });
      const blocks = rest.split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) {
        if (block.startsWith("data: ")) yield JSON.parse(block.slice(6));
      }
      if (done) return;
    }
  }
}
