/** The page's link to its call: over whichever transport works, and up again when it drops. */

import { hangUp } from "./api.js";
import { openRtc, Unconnected } from "./rtc.js";
import { openSocket } from "./socket.js";
import { pause } from "./wait.js";

const PATIENCE = 15_000; // as long as the server keeps a dropped call
const PING = 2000;
const DEAF = 4000; // an unanswered ping of this age: the connection is dead

export const others = []; // in place of rtc.js and socket.js

/**
 * A transport (rtc.js, socket.js) makes of {setup, stacks, ticket, track, sound, signal, received(text), dropped()} an
 * open connection: {transport, ticket, send(text), setTrack(track), clear(), close()}. A ticket, {call, secret}, has it
 * take that call up again.
 * @param audience {message(event), up(transport), down(), switched(why), lost(why)}
 */
export function makeLink(wanted, audience) {
	const closing = new AbortController();
	const { signal } = closing;
	const unsent = []; // typed while the connection was down
	const pinger = setInterval(ping, PING);
	let connection = null;
	let ticket = null;
	let muted = false;
	let pinged = 0;
	let over = false;
	let socketOnly = false;

	async function connect() {
		let mine = null;
		const received = (text) => receive(JSON.parse(text));
		const dropped = () => mine && mine === connection && drop();
		const open = (transport) => transport({ ...wanted, ticket, signal, received, dropped });
		if (others[0]) return take((mine = await open(others[0])));
		if (!socketOnly) {
			mine = await open(openRtc).catch((problem) => {
				if (!(problem instanceof Unconnected)) throw problem;
				socketOnly = true;
				ticket ??= problem.ticket;
				audience.switched(problem.message);
			});
		}
		take((mine ??= await open(openSocket)));
	}

	function take(opened) {
		connection = opened;
		ticket = opened.ticket;
		pinged = 0;
		if (signal.aborted) return leave();
		audience.up(opened.transport);
		if (muted) send({ type: "mute", muted });
		unsent.splice(0).forEach(send);
	}

	function receive(message) {
		if (message.type === "pong") pinged = 0;
		if (["call_ended", "refused"].includes(message.type)) over = true;
		if (!signal.aborted) audience.message(message);
	}

	async function drop() {
		connection.close(true); // it may be taken up again
		connection = null;
		if (over || signal.aborted) return;
		audience.down();
		for (const end = performance.now() + PATIENCE; performance.now() < end; await pause(1000)) {
			try {
				return await connect();
			} catch (problem) {
				if (signal.aborted) return;
				// the server said that the call is over; too many requests (429) pass
				if (problem.status && problem.status !== 429) return audience.lost(problem.message);
			}
		}
		audience.lost("It did not come back.");
	}

	function ping() {
		if (!connection) return;
		const now = performance.now();
		if (!pinged) send({ type: "ping", id: Math.floor((pinged = now)) });
		else if (now - pinged > DEAF) drop();
	}

	function send(message) {
		if (message.type === "mute") ({ muted } = message);
		if (connection) connection.send(JSON.stringify(message));
		else if (message.type === "say") unsent.push(message);
	}

	function close() {
		closing.abort();
		clearInterval(pinger);
		connection?.close();
		connection = null;
	}

	/** Hangs up by a beacon, which arrives from a page that goes away and over a link that is down. */
	function leave() {
		if (ticket?.call) hangUp(ticket);
		close();
	}

	function setTrack(track) {
		wanted.track = track;
		return connection?.setTrack(track);
	}

	return { connect, send, setTrack, clear: () => connection?.clear?.(), leave, close };
}
