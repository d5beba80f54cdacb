/** One call: its link, its sound, and what is seen of it. */

import { makeCaptions } from "./captions.js";
import { makeControls } from "./controls.js";
import { byId } from "./elements.js";
import { makeLink } from "./link.js";
import { showLevels } from "./meter.js";
import { openMicrophone } from "./microphone.js";
import { alert, notice } from "./notices.js";
import { Sound } from "./sound.js";
import { makeStage } from "./stage.js";
import { latency, naming, pairs, spaced } from "./wording.js";

const GOODBYE = 3000; // ms that the server may take to end a call that was hung up

/**
 * Make it while a click is handled, or the browser keeps its sound off.
 * @param {Record<string, string>} stacks by persona @param ended is told the journal, see after.js
 */
export function makeCall(setup, stacks, ended) {
	const over = new AbortController();
	const { signal } = over;
	const { dataset } = document.body;
	const nameOf = naming(setup.personas);
	const stage = makeStage(setup, stacks, nameOf, signal);
	const captions = makeCaptions(nameOf);
	const journal = { setup, stacks, began: new Date(), transport: "", events: [], end: null };
	const unblock = ["Turn the sound on", () => sound.unblock()];
	const sound = new Sound(byId("sound"), () => notice("Your browser keeps the sound off.", unblock));
	let link = null;
	let microphone = null; // its track, while there is one
	let latest = { agent: "preparing" }; // state event

	const send = (message) => link?.send(message);
	const actions = {
		say(text) {
			send({ type: "say", text });
			captions.typed(text);
		},
		typing: (active) => send({ type: "typing", active }),
		interrupt() {
			link?.clear();
			send({ type: "interrupt" });
		},
		mute(muted) {
			microphone.enabled = !muted;
			send({ type: "mute", muted });
			controls.microphone(muted ? "muted" : "on");
		},
		async useMicrophone() {
			try {
				await link?.setTrack(await takeMicrophone());
				notice("");
			} catch (problem) {
				if (!signal.aborted) notice(`${problem.message}. ${problem.remedy ?? ""}`);
			}
		},
		end() {
			byId("end").disabled = true;
			if (dataset.link !== "up") return leave();
			send({ type: "hang_up" });
			setTimeout(leave, GOODBYE); // unless the server has told by then how the call ended
		},
	};
	const controls = makeControls(actions, signal);

	/** By type; docs/web.md has them all. */
	const events = {
		state(event) {
			latest = event;
			showState();
		},
		partial: captions.partial,
		user_turn: captions.userTurn,
		agent_turn: captions.agentTurn,
		tool_call({ name, arguments: values, error }) {
			captions.direction("tool_call", [spaced(name), pairs(values), error].filter(Boolean).join(" · "));
		},
		handoff({ from, to, gap }) {
			stage.persona(to);
			latest.persona = to;
			showState();
			const told = `${nameOf(from)} hands over to ${nameOf(to)}`;
			captions.direction("handoff", Number.isFinite(gap) ? `${told} · ${latency(gap)}` : told);
		},
		fallback({ role, from, to, why }) {
			captions.direction("fallback", `${role}: ${from} failed (${why}), on with ${to}`);
		},
		error({ where, provider, message, recoverable }) {
			captions.direction("error", `${provider ?? where}: ${message}`);
			if (!recoverable) alert((journal.fault = message));
		},
		call_ended: finish,
		refused: ({ error }) => finish({ reason: "error", detail: error }),
	};

	const showState = () => stage.state(latest.agent, latest.caller, latest.persona);

	const audience = {
		message(event) {
			journal.events.push(event);
			events[event.type]?.(event);
		},
		up(transport) {
			if (journal.transport) notice("Connected again.");
			else stage.start();
			dataset.link = "up";
			journal.transport = transport;
			stage.transport(transport);
			showState();
		},
		down() {
			dataset.link = "down";
			stage.state("reconnecting");
			notice("The connection dropped. Trying again for 15 seconds.");
		},
		switched: (why) => notice(`${why}, so this call goes over a WebSocket instead.`),
		lost: (detail) => finish({ reason: "lost", detail }),
	};

	/** @throws NoMicrophone, Refusal, or an AbortError when it was ended meanwhile */
	async function open(silent) {
		try {
			stage.state(silent ? "connecting" : "microphone");
			controls.announce(silent); // who does not speak may not hear either
			const track = silent ? sound.silence() : await takeMicrophone();
			stage.state("connecting");
			showLevels(sound, signal);
			link = makeLink({ setup, stacks, track, sound }, audience);
			await link.connect();
		} catch (problem) {
			leave();
			throw problem;
		}
	}

	async function takeMicrophone() {
		const track = await openMicrophone();
		if (signal.aborted) track.stop();
		signal.throwIfAborted();
		microphone = track;
		sound.watch("caller", sound.context.createMediaStreamSource(new MediaStream([track])));
		controls.microphone("on");
		track.onended = () => {
			microphone = null;
			controls.microphone("none");
			notice("The microphone is gone. Type, or plug it in and use it again.");
			link?.setTrack(sound.silence());
		};
		return track;
	}

	function leave() {
		if (signal.aborted) return;
		link?.leave();
		if (journal.transport) finish({ reason: "caller_left" });
		else close();
	}

	/** @param end the call_ended event, or as much of it as the page knows */
	function finish(end) {
		if (signal.aborted) return;
		journal.end = { duration: stage.time(), detail: journal.fault, ...end };
		journal.events.push(...captions.finish());
		close();
		ended(journal);
	}

	function close() {
		if (signal.aborted) return;
		over.abort();
		delete dataset.link;
		link?.close();
		microphone?.stop();
		sound.close();
	}

	return { open, leave };
}
