/** Keeps the page's WebSockets where a test can reach them: `testSockets`. */
(() => {
	globalThis.testSockets = [];
	globalThis.WebSocket = class extends WebSocket {
		constructor(...options) {
			super(...options);
			testSockets.push(this);
		}
	};
})();
