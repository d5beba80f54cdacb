/** A connection to the call over a WebSocket, for networks that let no UDP through: PCM frames and messages. */

import { Refusal } from "./api.js";
import { openPcm } from "./pcm.js";
import { until } from "./wait.js";

const OPENING = 5000;
const ANSWERING = 20_000; // the server makes ready the stacks of the whole chain first

export async function openSocket({ stacks, ticket, track, sound, signal, received, dropped }) {
	const socket = new WebSocket("api/socket");
	const happenings = ["open", "message", "close"].map((name) => [socket, name]);
	const send = (data) => socket.readyState === WebSocket.OPEN && socket.send(data);
	const pcm = await openPcm(sound, send);
	const close = () => {
		socket.close();
		pcm.close();
	};

	let answer;
	const met = (wanted) => () => {
		if (!answer && socket.readyState > WebSocket.OPEN) throw new Refusal(0, "The server closed the connection.");
		return wanted();
	};
	try {
		await until(happenings, met(() => socket.readyState === WebSocket.OPEN), OPENING, signal);
		socket.binaryType = "arraybuffer";
		socket.onmessage = ({ data }) => (answer ??= JSON.parse(data));
		send(JSON.stringify(ticket ? { type: "resume", ...ticket } : { type: "start", stacks }));
		await until(happenings, met(() => answer), ANSWERING, signal);
		if (answer.type === "refused") throw new Refusal(503, answer.error);
	} catch (problem) {
		close();
		signal.throwIfAborted();
		throw problem instanceof Refusal ? problem : new Refusal(0, "The server does not answer.");
	}

	socket.onclose = dropped;
	socket.onmessage = ({ data }) => {
		if (data instanceof ArrayBuffer) pcm.play(data);
		else if (JSON.parse(data).type === "clear") pcm.clear();
		else received(data);
	};
	pcm.record(track);
	const { call, secret } = answer;
	return { transport: "WebSocket", ticket: { call, secret }, send, setTrack: pcm.record, clear: pcm.clear, close };
}
