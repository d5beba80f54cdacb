/** Elements of the page. What the server or a caller said goes in as text, never as markup. */

export const byId = (id) => document.getElementById(id);

/** Makes an element; `data` is for data-* attributes, and strings among the children become text. */
export function make(tag, properties = {}, ...children) {
	const { data, ...others } = properties;
	const element = Object.assign(document.createElement(tag), others);
	Object.assign(element.dataset, data);
	element.append(...children.filter((child) => child != null));
	return element;
}

/** Text for screen readers alone. */
export const unseen = (text) => make("span", { className: "unseen" }, text);

/** Sets a text, if it changes: live regions would announce it again. */
export function tell(id, text) {
	if (byId(id).textContent !== text) byId(id).textContent = text;
}
