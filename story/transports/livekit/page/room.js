/** A connection to the call in a room of LiveKit, over LiveKit's own client. */

import { ask, Refusal } from "./api.js";
import { others } from "./link.js";
import { DisconnectReason, Room, RoomEvent, setLogLevel, Track } from "./livekit-client.js";
import { until } from "./wait.js";

const ARRIVING = 20_000; // until the agent has come and the call has begun
const MENDING = 15_000; // as long as the agent waits
const RETRY = 1000;
const EVENTS = "story.events";
const FROM_PAGE = "story.page";
const PING = JSON.stringify({ type: "ping", id: 0 });

others.push(openRoom);
setLogLevel("error"); // what it warns of, it mends by itself

async function openRoom({ stacks, ticket, track, sound, signal, received, dropped }) {
	if (ticket) return ticket.mend(track);
	const place = await ask("api/rooms", { stacks }); // {url, token}: a room to which the agent is sent
	const room = new Room({ disconnectOnPageLeave: true, reconnectPolicy: { nextRetryDelayInMs } });
	const told = new EventTarget();
	let heard = 0; // events of the call
	let gone = false;

	room.on(RoomEvent.DataReceived, (payload, _participant, _kind, topic) => {
		if (topic !== EVENTS) return;
		heard++;
		received(new TextDecoder().decode(payload));
		told.dispatchEvent(new Event("event"));
	});
	room.on(RoomEvent.TrackSubscribed, ({ kind, receiver, mediaStreamTrack }) => {
		if (kind !== Track.Kind.Audio) return;
		receiver.jitterBufferTarget = receiver.playoutDelayHint = 0; // as in rtc.js
		sound.play(new MediaStream([mediaStreamTrack]));
	});
	room.on(RoomEvent.Disconnected, (reason) => {
		gone = true;
		told.dispatchEvent(new Event("event"));
		if (reason !== DisconnectReason.CLIENT_INITIATED) dropped();
	});

	/** Waits for an event of the call, the one after so many. */
	const hears = (before, patience) => {
		const there = () => {
			if (gone) throw new Error("the room is gone");
			return heard > before;
		};
		return until([[told, "event"]], there, patience, signal);
	};

	const send = (message) => {
		if (gone) return;
		room.localParticipant.publishData(new TextEncoder().encode(message), { reliable: true, topic: FROM_PAGE }).catch(() => {});
	};

	/** Waits until the agent answers again: LiveKit's client is about to find the room again, with its newest token. */
	async function mend(wanted) {
		const asking = setInterval(send, RETRY, PING);
		try {
			await hears(heard, MENDING);
			if (wanted !== microphone.mediaStreamTrack) await connection.setTrack(wanted);
			return connection;
		} catch {
			room.disconnect();
			signal.throwIfAborted();
			throw new Refusal(410, "It did not come back.");
		} finally {
			clearInterval(asking);
		}
	}

	let microphone;
	try {
		await room.connect(place.url, place.token);
		const published = await room.localParticipant.publishTrack(track, { source: Track.Source.Microphone, name: "microphone" });
		microphone = published.track; // for the whole call, unlike the publication
		await hears(0, ARRIVING);
	} catch (problem) {
		room.disconnect();
		signal.throwIfAborted();
		if (problem instanceof Refusal) throw problem;
		throw new Refusal(0, room.state === "connected" ? "Nobody came to the call: all lines are taken." : "The LiveKit server can't be reached.");
	}
	const connection = {
		transport: "LiveKit",
		ticket: { mend },
		send,
		setTrack: (next) => microphone.replaceTrack(next, { userProvidedTrack: true }),
		close: (again) => again || room.disconnect(),
	};
	return connection;
}

/** LiveKit's own policy has pauses of 10 s, in which the agent may leave. */
function nextRetryDelayInMs({ retryCount }) {
	return retryCount && RETRY;
}
