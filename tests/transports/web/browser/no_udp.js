/** A network that lets no UDP through: only a relay would do, and there is none. */
globalThis.RTCPeerConnection = class extends RTCPeerConnection {
	constructor(options) {
		super({ ...options, iceTransportPolicy: "relay" });
	}

	/** With a candidate at which nobody answers. */
	get localDescription() {
		const { type, sdp } = super.localDescription;
		return { type, sdp: sdp.replaceAll("a=ice-ufrag", "a=candidate:1 1 udp 2113937151 127.0.0.1 9 typ host\r\na=ice-ufrag") };
	}
};
