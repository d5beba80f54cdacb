/** A connection to the call in a room of LiveKit, over LiveKit's own client. */

import { ask, Refusal } from "./api.js";
import { others } from "./link.js";
import { DisconnectReason, Room, RoomEvent, setLogLevel, Track } from "./livekit-client.js";
import { until } from "./wait.js";

const ARRIVING = 20_000; // until the agent has come and the call has begun
const EVENTS = "story.events";
const FROM_PAGE = "story.page";

others.push(openRoom);
setLogLevel("error"); // what it warns of, it mends by itself

async function openRoom({ stacks, ticket, track, sound, signal, received, dropped }) {
	const place = ticket ?? (await ask("api/rooms", { stacks })); // {url, token}: a room to which the agent is sent
	const room = new Room({ disconnectOnPageLeave: true });
	const told = new EventTarget();
	let begun = Boolean(ticket); // a call that is taken up again has begun
	let gone = false;

	room.on(RoomEvent.DataReceived, (payload, _participant, _kind, topic) => {
		if (topic !== EVENTS) return;
		begun = true;
		received(new TextDecoder().decode(payload));
		told.dispatchEvent(new Event("event"));
	});
	room.on(RoomEvent.TrackSubscribed, (heard) => {
		if (heard.kind !== Track.Kind.Audio) return;
		heard.receiver.jitterBufferTarget = heard.receiver.playoutDelayHint = 0; // as in rtc.js
		sound.play(new MediaStream([heard.mediaStreamTrack]));
	});
	room.on(RoomEvent.Disconnected, (reason) => {
		gone = true;
		told.dispatchEvent(new Event("event"));
		if (reason !== DisconnectReason.CLIENT_INITIATED) dropped();
	});

	let published;
	try {
		await room.connect(place.url, place.token);
		published = await room.localParticipant.publishTrack(track, { source: Track.Source.Microphone, name: "microphone" });
		const there = () => {
			if (gone) throw new Error("the room is gone");
			return begun;
		};
		await until([[told, "event"]], there, ARRIVING, signal);
	} catch (problem) {
		room.disconnect();
		signal.throwIfAborted();
		if (problem instanceof Refusal) throw problem;
		throw new Refusal(0, room.state === "connected" ? "Nobody came to the call: all lines are taken." : "The LiveKit server can't be reached.");
	}
	return {
		transport: "LiveKit",
		ticket: place,
		send(message) {
			if (gone) return;
			room.localParticipant.publishData(new TextEncoder().encode(message), { reliable: true, topic: FROM_PAGE }).catch(() => {});
		},
		setTrack: (next) => published.track.replaceTrack(next, { userProvidedTrack: true }),
		close: () => room.disconnect(),
	};
}
