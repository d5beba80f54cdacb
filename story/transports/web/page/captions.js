/** What both sides say, as a script that grows while they speak. */

import { byId, make, unseen } from "./elements.js";
import { latencyFigure } from "./latency.js";

const box = byId("captions");
let following = true; // the newest words, until the caller scrolls up to read
let top = 0;

box.addEventListener("scroll", () => {
	following = box.scrollHeight - box.scrollTop - box.clientHeight < 60 || (following && box.scrollTop >= top);
	top = box.scrollTop;
});
new ResizeObserver(follow).observe(box);

function follow() {
	if (following) box.scrollTop = box.scrollHeight;
}

export function makeCaptions(nameOf) {
	const live = { caller: null, agent: null }; // turns that are still being spoken
	const typed = []; // turns that the server has not told back
	let stopped = null; // what was heard of the agent's last turn, if it was cut off: a last word may be told after it
	following = true;
	box.replaceChildren();

	function begin(who, persona) {
		// hidden from screen readers until it is whole, or each word would announce the turn anew
		const words = make("p", { className: "words", ariaHidden: "true" });
		const speaker = make("p", { className: "speaker" }, who === "agent" ? nameOf(persona) : "You");
		const { tint } = document.body.dataset; // it keeps its colour when the next persona speaks
		const element = make("div", { className: "turn", data: { who, tint, live: true, persona: persona ?? "" } }, speaker, words);
		add(element);
		return { element, words, persona, text: "" };
	}

	function finish({ element, words }, text, lost = null, figure = null) {
		const cut = lost === null ? [] : [" ", ...(lost ? [unseen("(cut off:) "), make("del", {}, lost)] : ["—"])];
		if (lost !== null) element.dataset.interrupted = true;
		delete element.dataset.live;
		words.replaceChildren(text, ...cut);
		words.ariaHidden = null;
		if (figure) element.append(figure);
		follow();
	}

	/** The turn being spoken, if the text belongs to it; if not, that was stopped before it was told. */
	function current(text, persona) {
		const turn = live.agent;
		live.agent = null;
		if (!turn || (turn.persona === persona && continues(turn.text, text))) return turn ?? begin("agent", persona);
		finish(turn, "", turn.text);
		return begin("agent", persona);
	}

	function add(element) {
		box.append(element);
		follow();
	}

	return {
		partial({ who, text, persona }) {
			if (who === "agent" && stopped) {
				if (text.length > stopped.length && continues(stopped, text)) return;
				stopped = null;
			}
			const turn = (live[who] = who === "agent" ? current(text, persona) : (live.caller ?? begin(who, null)));
			if (who === "caller" || text.length > turn.text.length) turn.text = text;
			turn.words.textContent = turn.text;
			follow();
		},

		/** Shown at once; `userTurn` will confirm it. */
		typed(text) {
			typed.push(text);
			following = true;
			finish(begin("caller", null), text);
		},

		userTurn({ text }) {
			const told = typed.findIndex((one) => letters(one) === letters(text));
			if (told >= 0) return void typed.splice(told, 1);
			finish(live.caller ?? begin("caller", null), text);
			live.caller = null;
		},

		agentTurn({ text, persona, interrupted, unheard, metrics }) {
			stopped = interrupted && letters(text) ? text : null;
			finish(current(text, persona), text, interrupted ? unheard : null, latencyFigure(metrics));
		},

		direction: (kind, text) => add(make("p", { className: "direction", data: { kind } }, text)),

		/** Gives what was being said as events. */
		finish: () =>
			Object.entries(live)
				.filter(([, turn]) => turn?.text)
				.map(([who, turn]) => {
					finish(turn, turn.text);
					return { type: who === "agent" ? "agent_turn" : "user_turn", text: turn.text, persona: turn.persona, interrupted: true };
				}),
	};
}

const letters = (text) => text.toLowerCase().replace(/[^\p{L}\p{N}]/gu, "");

/** Whether one begins the other, but for punctuation. */
function continues(one, other) {
	const [a, b] = [letters(one), letters(other)];
	return a.startsWith(b) || b.startsWith(a);
}
