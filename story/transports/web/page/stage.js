/** Who is speaking now, on which stack, and what they are doing. */

import { byId, make, tell } from "./elements.js";
import { clock } from "./wording.js";

const STATES = {
	connecting: "Connecting…",
	preparing: "Getting ready…",
	microphone: "Allow the microphone where your browser asks",
	reconnecting: "Reconnecting…",
	listening: "Listening",
	thinking: "Thinking",
	speaking: "Speaking",
};

export function makeStage({ personas, max_duration: limit }, stacks, nameOf, signal) {
	const { dataset } = document.body;
	let current = null;
	let began = 0;
	let ticking = 0;

	function persona(key) {
		const index = personas.findIndex((one) => one.key === key);
		const name = personas[index]?.name ?? key;
		current = key;
		delete dataset.handoff;
		Object.assign(dataset, { persona: key, stack: stacks[key], tint: index % 4 });
		tell("persona", name);
		tell("agent-name", name);
		tell("persona-stack", `${key} · on ${stacks[key].replaceAll("+", " + ")}`);
		[...byId("path").children].forEach((step, place) => (step.ariaCurrent = place === index ? "step" : null));
	}

	/** @param {keyof STATES} agent @param {string | null} [speaker] a persona's key */
	function state(agent, caller = "silent", speaker = null) {
		Object.assign(dataset, { state: agent, caller });
		// the next persona is called but has made no sound: the handoff event comes with that
		if (speaker && speaker !== current) dataset.handoff = speaker;
		const told = agent === "listening" && caller === "speaking" ? "Listening to you" : STATES[agent];
		tell("state", dataset.handoff ? `Handing over to ${nameOf(dataset.handoff)}` : told);
	}

	function transport(name) {
		tell("transport", (dataset.transport = name));
	}

	const time = () => (began ? performance.now() - began : 0) / 1000;

	function start() {
		began = performance.now();
		ticking = setInterval(tick, 250);
	}

	function tick() {
		tell("clock", clock(time()) + (limit ? ` of ${clock(limit)}` : ""));
	}

	byId("path").replaceChildren(...personas.map(({ key }) => make("li", {}, nameOf(key))));
	transport("");
	tick();
	persona(personas[0].key);
	signal.addEventListener("abort", () => {
		clearInterval(ticking);
		delete dataset.handoff;
	});
	return { persona, state, transport, start, time };
}
