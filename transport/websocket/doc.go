// Package websocket reaches a daemon through WebSocket (RFC 6455), the only way in that a browser's
// page has: one text message is one frame.
//
// A [Transport] has a server of its own. An author who has one already mounts a [Handler] on its mux:
// that is an http.Handler and a transport.Transport at once. Both speak HTTP/1.1, without
// compression, and name what they speak [Subprotocol].
//
// A client says who it is while the conn is being upgraded: by its certificate, by HTTP Basic or
// Bearer, or by what an Identify function makes of the request. One that proves nothing is refused.
// Pages are refused unless AllowOrigins has their origin, and every request whose Host is none of
// ours, since a foreign name can be made to lead here.
//
// A WebSocket has no half-close: a peer that closes has left. When the daemon closes, the close frame
// says why: 1000 after the last reply, 1001 for a drain, 1003 for a binary message, 1007 for what is no
// JSON, 1008 for silence, a limit, revoked credentials or an administrator, 1009 for a message that is too
// large, 1013 for too many bytes in memory. PROTOCOL.md says which of them come behind an answer in words.
package websocket
