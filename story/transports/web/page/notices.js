/** What the page itself has to say: notices are announced politely, alerts at once. */

import { byId, make } from "./elements.js";

let timer = 0;

/** @param {[string, () => void]} [action] label and act of a button, which the notice waits for */
export function notice(text, action) {
	clearTimeout(timer);
	const press = () => {
		notice("");
		action[1]();
	};
	byId("notice").replaceChildren(text, ...(action ? [" ", make("button", { type: "button", onclick: press }, action[0])] : []));
	if (text && !action) timer = setTimeout(notice, 4000 + 60 * text.length, "");
}

export function alert(text) {
	byId("alert").hidden = !text;
	byId("alert").textContent = text;
}
