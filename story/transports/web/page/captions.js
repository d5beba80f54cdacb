/** What both sides say, as a script that grows while they speak. */

import { byId, make, unseen } from "./elements.js";
import { latencyFigure } from "./latency.js";

export function makeCaptions(nameOf) {
	const box = byId("captions");
	const live = { caller: null, agent: null }; // turns that are still being spoken
	const typed = []; // turns that the server has not told back
	box.replaceChildren();

	function begin(who, persona) {
		// hidden from screen readers until it is whole, or each word would announce the turn anew
		const words = make("p", { className: "words", ariaHidden: "true" });
		const speaker = make("p", { className: "speaker" }, who === "agent" ? nameOf(persona) : "You");
		const element = make("div", { className: "turn", data: { who, live: true, persona: persona ?? "" } }, speaker, words);
		add(element);
		return { element, words, persona, text: "" };
	}

	function finish({ element, words }, text, lost = null, figure = null) {
		const cut = lost === null ? [] : [" ", ...(lost ? [unseen("(cut off:) "), make("del", {}, lost)] : ["—"])];
		if (lost !== null) element.dataset.interrupted = true;
		delete element.dataset.live;
		follow(() => {
			words.replaceChildren(text, ...cut);
			words.ariaHidden = null;
			if (figure) element.append(figure);
		});
	}

	/** The turn being spoken, if the text belongs to it; if not, that was stopped before it was told. */
	function current(text, persona) {
		const turn = live.agent;
		live.agent = null;
		if (!turn || (turn.persona === persona && continues(turn.text, text))) return turn ?? begin("agent", persona);
		finish(turn, "", turn.text);
		return begin("agent", persona);
	}

	const add = (element) => follow(() => box.append(element));

	/** Keeps the newest words in sight, unless the caller reads further up. */
	function follow(change) {
		const below = box.scrollHeight - box.scrollTop - box.clientHeight;
		change();
		if (below < 60) box.scrollTop = box.scrollHeight;
	}

	return {
		partial({ who, text, persona }) {
			const turn = (live[who] = who === "agent" ? current(text, persona) : (live.caller ?? begin(who, null)));
			if (who === "caller" || text.length > turn.text.length) turn.text = text;
			follow(() => (turn.words.textContent = turn.text));
		},

		/** Shown at once; `userTurn` will confirm it. */
		typed(text) {
			typed.push(text);
			finish(begin("caller", null), text);
		},

		userTurn({ text }) {
			const told = typed.findIndex((one) => letters(one) === letters(text));
			if (told >= 0) return void typed.splice(told, 1);
			finish(live.caller ?? begin("caller", null), text);
			live.caller = null;
		},

		agentTurn({ text, persona, interrupted, metrics }) {
			const turn = current(text, persona);
			live.agent = null;
			finish(turn, text, interrupted ? unheard(text, turn.text) : null, latencyFigure(metrics));
		},

		direction: (kind, text) => add(make("p", { className: "direction", data: { kind } }, text)),

		finish() {
			for (const turn of Object.values(live)) if (turn) finish(turn, turn.text);
		},
	};
}

const letters = (text) => text.toLowerCase().replace(/[^\p{L}\p{N}]/gu, "");

/** Whether one begins the other, but for punctuation. */
function continues(one, other) {
	const [a, b] = [letters(one), letters(other)];
	return a.startsWith(b) || b.startsWith(a);
}

/** The words of `intended` after those that were heard, or heard in part. */
export function unheard(heard, intended) {
	const count = heard.split(/\s+/).filter(letters).length;
	return intended.split(/\s+/).filter(letters).slice(count).join(" ");
}
