/*
 * What pages of Channels 1 open their sockets with: `channels.WebSocketBridge`, around a socket that connects again.
 * Written anew from the documented behaviour; {% static "channels/js/websocketbridge.js" %} finds it.
 */
(function (root, make) {
    "use strict";
    if (typeof exports === "object" && typeof module !== "undefined") {
        module.exports = make(root);
    } else if (typeof define === "function" && define.amd) {
        define([], function () { return make(root); });
    } else {
        root.channels = make(root);
    }
})(typeof self !== "undefined" ? self : this, function (root) {
    "use strict";

    var EVENTS = ["open", "message", "close", "error"];
    var DEFAULTS = {
        constructor: null,  // of a socket; null for the browser's WebSocket
        minReconnectionDelay: 1500,  // milliseconds, as are the next two; a random part of as much is added
        maxReconnectionDelay: 10000,
        connectionTimeout: 4000,
        reconnectionDelayGrowFactor: 1.3,
        maxRetries: Infinity
    };

    /* A WebSocket that connects again when it is closed; listeners and handlers stay. */
    function ReconnectingWebSocket(url, protocols, options) {
        this._url = url;
        this._protocols = protocols || [];
        this._options = {};
        for (var name in DEFAULTS) {
            var isGiven = options && Object.prototype.hasOwnProperty.call(options, name);
            this._options[name] = isGiven ? options[name] : DEFAULTS[name];
        }
        this._listeners = {open: [], message: [], close: [], error: []};
        this._retries = 0;
        this._delay = 0;
        this._timer = null;
        this._isKeptClosed = false;
        this._binaryType = "blob";
        this.onopen = this.onmessage = this.onclose = this.onerror = null;
        this._connect();
    }

    ReconnectingWebSocket.prototype = {
        constructor: ReconnectingWebSocket,
        CONNECTING: 0,
        OPEN: 1,
        CLOSING: 2,
        CLOSED: 3,

        get url() { return this._socket.url; },
        get protocol() { return this._socket.protocol; },
        get extensions() { return this._socket.extensions; },
        get bufferedAmount() { return this._socket.bufferedAmount; },
        get readyState() { return this._socket.readyState; },
        get binaryType() { return this._socket.binaryType; },
        set binaryType(type) { this._binaryType = this._socket.binaryType = type; },

        send: function (data) {
            this._socket.send(data);
        },

        /* Close the socket, at once or after `delay` milliseconds. It connects again, but not with `keepClosed: true`. */
        close: function (code, reason, options) {
            var socket = this._socket;
            options = options || {};
            this._isKeptClosed = Boolean(options.keepClosed);
            if (this._isKeptClosed) {
                root.clearTimeout(this._timer);
            }
            root.setTimeout(function () {
                socket.close(code === undefined ? 1000 : Number(code), reason || "");
            }, options.delay || 0);
        },

        addEventListener: function (type, listener) {
            if (this._listeners[type] && this._listeners[type].indexOf(listener) < 0) {
                this._listeners[type].push(listener);
            }
        },

        removeEventListener: function (type, listener) {
            this._listeners[type] = (this._listeners[type] || []).filter(function (each) { return each !== listener; });
        },

        _connect: function () {
            var self = this, Socket = this._options.constructor || root.WebSocket;
            var url = typeof this._url === "function" ? this._url() : this._url;
            var socket = this._socket = new Socket(url, this._protocols);
            var timeout = root.setTimeout(function () { socket.close(); }, this._options.connectionTimeout);
            socket.binaryType = this._binaryType;
            EVENTS.forEach(function (type) {
                socket.addEventListener(type, function (event) {
                    if (type === "open") {
                        root.clearTimeout(timeout);
                        self._retries = self._delay = 0;
                    } else if (type === "close") {
                        root.clearTimeout(timeout);
                        self._connectLater();
                    }
                    self._tell(type, event);
                });
            });
        },

        _connectLater: function () {
            var self = this, options = this._options;
            if (this._isKeptClosed || this._retries >= options.maxRetries) {
                return;
            }
            this._retries += 1;
            this._delay = this._delay
                ? this._delay * options.reconnectionDelayGrowFactor
                : options.minReconnectionDelay * (1 + Math.random());
            this._delay = Math.min(this._delay, options.maxReconnectionDelay);
            this._timer = root.setTimeout(function () { self._connect(); }, this._delay);
        },

        _tell: function (type, event) {
            if (typeof this["on" + type] === "function") {
                this["on" + type](event);
            }
            this._listeners[type].slice().forEach(function (listener) {
                if (typeof listener === "function") {
                    listener.call(this, event);
                } else {
                    listener.handleEvent(event);
                }
            }, this);
        }
    };

    /* Messages in JSON over a socket, and several streams on it. */
    function WebSocketBridge(options) {
        this.socket = null;
        this.streams = {};
        this.default_cb = null;
        this.options = options || {};
    }

    WebSocketBridge.prototype = {
        constructor: WebSocketBridge,

        /* Connect to a URL; one that begins with "/", or none, is of the page's own host. */
        connect: function (url, protocols, options) {
            var place = root.location;
            if (url === undefined || url[0] === "/") {
                url = (place.protocol === "https:" ? "wss://" : "ws://") + place.host + (url || "");
            }
            this.socket = new ReconnectingWebSocket(url, protocols, options);
        },

        /* Have `callback(message, null)` called for messages of no stream. Others are for those of `demultiplex`. */
        listen: function (callback) {
            var self = this;
            this.default_cb = callback;
            this.socket.onmessage = function (event) {
                var message = JSON.parse(event.data);
                if (message === null || message.stream === undefined) {
                    if (self.default_cb) {
                        self.default_cb(message, null);
                    }
                } else if (self.streams[message.stream]) {
                    self.streams[message.stream](message.payload, message.stream);
                }
            };
        },

        /* Have `callback(payload, stream)` called for the messages of a stream. */
        demultiplex: function (stream, callback) {
            this.streams[stream] = callback;
        },

        send: function (message) {
            this.socket.send(JSON.stringify(message));
        },

        /* Return what sends to a stream. */
        stream: function (stream) {
            var self = this;
            return {
                send: function (payload) {
                    self.send({stream: stream, payload: payload});
                }
            };
        }
    };

    return {WebSocketBridge: WebSocketBridge};
});
