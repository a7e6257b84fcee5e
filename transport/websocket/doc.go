// Package websocket is the transport over WebSocket (RFC 6455). It is the only transport that the page of a browser can
// use. One text message is one frame.
//
// A daemon sets Address and TLS of a [Transport] and calls [Transport.Listen]; the Transport has a server of its own. A
// daemon with an HTTP server calls [Transport.Handler] and mounts the [Handler] on its mux. A Handler is an http.Handler and
// a transport.Transport. A client sets Address, Client and Credentials and calls [Transport.Dial]. All of them use HTTP/1.1,
// without compression, and the subprotocol [Subprotocol].
//
// A client authenticates in the opening handshake: by its certificate, by HTTP Basic or Bearer, or by a function Identify. A
// client without credentials is refused. A page is refused unless AllowOrigins has its origin. A request with an unknown
// Host is refused, because an attacker can make any name resolve to the daemon's address (DNS rebinding).
//
// WebSocket has no half-close: the close frame of a peer ends the conn in both directions. When the daemon closes, its close
// frame says why: 1000 after the last reply, 1001 for a drain, 1003 for a binary message, 1007 for a message that is not
// JSON, 1008 for a timeout, a limit, revoked credentials or an administrator, 1009 for a message that is too large, 1013 for
// too many bytes in memory. PROTOCOL.md says which of them follow a reply.
package websocket
