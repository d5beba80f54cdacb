/** A browser without WebRTC. */
delete globalThis.RTCPeerConnection;
