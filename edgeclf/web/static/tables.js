// Results as files, in the forms of `edgeclf label_image`, and labels as hashtags.

const HEADER = ["image", "rank", "index", "label", "score", "error"];

/** Return results ({image, categories} or {image, error}) as one JSON document a line. */
export function jsonLines(results) {
  return results.map(result => `${JSON.stringify(result)}\n`).join("");
}

/** Return results as CSV: a row per label, one with the error for what could not be read. */
export function csv(results) {
  const rows = results.flatMap(({ image, categories = [], error = "" }) => (
    categories.length === 0
      ? [[image, "", "", "", "", error]]
      : categories.map(({ index, label, score }, place) => [
        image, place + 1, index ?? "", label ?? "", score, "",
      ])
  ));
  return [HEADER, ...rows].map(row => `${row.map(cell).join(",")}\n`).join("");
}

function cell(value) {
  const text = String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Return the hashtags of labels, in order, each once. */
export function hashtags(categories) {
  const tags = new Map();
  for (const { index, label } of categories) {
    const words = (label ?? String(index)).match(/[\p{L}\p{M}\p{N}]+/gu) ?? [];
    let tag = words.join("_");
    if (tag && !/\p{L}/u.test(tag)) tag = `tag_${tag}`;
    if (tag && !tags.has(tag.toLowerCase())) tags.set(tag.toLowerCase(), `#${tag}`);
  }
  return [...tags.values()].join(" ");
}

/** Let the browser keep a text as a file. */
export function save(text, name, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
