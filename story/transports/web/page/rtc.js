/** A connection to the call over WebRTC: sound both ways as Opus, messages on a data channel. */

import { hangUp, openCall, Refusal, takeUp } from "./api.js";
import { until } from "./wait.js";

const GATHERING = 2000;
const CONNECTING = 5000;
const RECOVERY = 2000; // "disconnected" often mends itself

/** WebRTC does not work here; another transport may, with the ticket of a call that was opened. */
export class Unconnected extends Error {
	constructor(message, ticket) {
		super(message);
		this.ticket = ticket;
	}
}

export async function openRtc({ setup, stacks, ticket, track, sound, signal, received, dropped }) {
	if (!globalThis.RTCPeerConnection) throw new Unconnected("This browser has no WebRTC");
	const peer = new RTCPeerConnection({ iceServers: setup.ice_servers });
	const channel = peer.createDataChannel("story", { ordered: true });
	const sender = peer.addTrack(track, new MediaStream([track]));
	channel.onmessage = ({ data }) => received(data);
	peer.ontrack = ({ receiver, track }) => {
		// talk wants little delay more than it wants no gaps; each browser has one of these or none
		receiver.jitterBufferTarget = receiver.playoutDelayHint = 0;
		sound.play(new MediaStream([track]));
	};

	const broken = () => ["failed", "closed"].includes(peer.connectionState);
	const gathered = () => peer.iceGatheringState === "complete";
	const connected = () => {
		if (broken()) throw new Error(peer.connectionState);
		return channel.readyState === "open";
	};
	try {
		await peer.setLocalDescription();
		// candidates are not trickled: those that are there by then have to do
		await until([[peer, "icegatheringstatechange"]], gathered, GATHERING, signal).catch(() => signal.throwIfAborted());
		const offer = peer.localDescription;
		const { answer, ...opened } = await (ticket ? takeUp(ticket, offer) : openCall(offer, stacks));
		ticket ??= opened;
		await peer.setRemoteDescription(answer);
		await until([[peer, "connectionstatechange"], [channel, "open"]], connected, CONNECTING, signal);
	} catch (problem) {
		peer.close();
		if (ticket && signal.aborted) hangUp(ticket);
		signal.throwIfAborted();
		throw problem instanceof Refusal ? problem : new Unconnected("WebRTC found no way to the server", ticket);
	}

	let timer;
	channel.onclose = dropped;
	peer.onconnectionstatechange = () => {
		clearTimeout(timer);
		if (broken()) dropped();
		if (peer.connectionState === "disconnected") timer = setTimeout(dropped, RECOVERY);
	};
	return {
		transport: "WebRTC",
		ticket,
		send: (message) => channel.readyState === "open" && channel.send(message),
		setTrack: (track) => sender.replaceTrack(track),
		close: () => peer.close(),
	};
}
