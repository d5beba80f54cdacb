/** Keeps the page's WebRTC connections where a test can reach them: `testPeers`. */
(() => {
	globalThis.testPeers = [];
	globalThis.RTCPeerConnection = class extends RTCPeerConnection {
		constructor(...options) {
			super(...options);
			testPeers.push(this);
		}
	};
})();
