/** What the caller can do in a call: mute, interrupt, end, type. */

import { byId } from "./elements.js";

const IDLE = 4000; // ms after the last key

/** @param act see call.js @param {AbortSignal} signal ends it */
export function makeControls(act, signal) {
	const input = byId("say-text");
	const { dataset } = document.body;
	let typing = false;
	let timer = 0;
	const on = (target, name, handler) => target.addEventListener(name, handler, { signal });

	/** Who types is silent meanwhile, which must not count as having left. */
	function type(active) {
		clearTimeout(timer);
		if (active) timer = setTimeout(type, IDLE, false);
		if (active !== typing) act.typing((typing = active));
	}

	function microphone(state) {
		dataset.microphone = state;
		byId("mute").textContent = { on: "Mute", muted: "Unmute", none: "Use mic" }[state];
	}

	/** Screen readers keep quiet about captions and state unless asked: they would talk into the call. */
	function announce(wanted) {
		byId("announce").ariaPressed = wanted;
		for (const id of ["captions", "state"]) byId(id).ariaLive = wanted ? "polite" : "off";
	}

	on(byId("mute"), "click", () => (dataset.microphone === "none" ? act.useMicrophone() : act.mute(dataset.microphone === "on")));
	on(byId("interrupt"), "click", act.interrupt);
	on(document, "keydown", ({ key, isComposing, repeat }) => key === "Escape" && !isComposing && !repeat && act.interrupt());
	on(byId("end"), "click", act.end);
	on(byId("announce"), "click", () => announce(byId("announce").ariaPressed !== "true"));
	on(input, "input", () => type(input.value !== ""));
	on(input, "blur", () => type(false));
	on(byId("say"), "submit", (event) => {
		event.preventDefault();
		const text = input.value.trim();
		input.value = "";
		type(false);
		if (text) act.say(text);
	});

	input.value = "";
	byId("end").disabled = false;
	microphone("none");
	return { microphone, announce };
}
