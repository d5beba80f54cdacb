/** A network that lets no UDP through: only a relay would do, and there is none. */
globalThis.RTCPeerConnection = class extends RTCPeerConnection {
	constructor(options) {
		super({ ...options, iceTransportPolicy: "relay" });
	}
};
