// Package http is the transport over HTTP POST, as Kea's own tools use it. kea-shell, Stork and a curl line from Kea's
// manual work without change.
//
// A daemon sets Address, and TLS or Insecure, and Authenticator of a [Transport], and calls [Transport.Listen]. A client sets
// Address, Client and Credentials, and calls [Transport.Dial] for each command.
//
// One POST is one [transport.Conn]. Its body is the only frame that the conn receives, and the frames that are sent on the
// conn are the response. The path is ignored. The response is 200 with an array around the reply. With "Accept:
// application/x-ndjson" each reply is one line, and is sent at once. A reply with a status ([transport.WithStatus]) is the
// body of a response with that status, without an array. Persistent connections, pipelining and chunks are those of HTTP.
//
// The listener answers with another status when no command was run or when a command gave no reply. The body is a map, as
// Kea's clients expect it: { "result": 401, "text": "Unauthorized" }. The statuses:
//
//	400  the body is not one JSON object or array, or is incomplete
//	401  the credentials are missing or wrong: Basic, Bearer, or a client certificate
//	403  the Host header is not allowed (DNS rebinding), or a page of another origin has sent the request
//	405  the method is not POST
//	408  no byte has arrived for Idle
//	413  the body is longer than MaxFrame
//	415  the body is not application/json in UTF-8, or is compressed
//	429  too many wrong credentials, or too many to verify; Retry-After says when to try again
//	500  the command gave no reply
//	503  the daemon accepts no commands
//
// Host and method are checked first, then the credentials, and then the body is read: a client without credentials cannot
// make the daemon read a body. GET /healthz says that the process runs, and GET /readyz says that it accepts commands. Both
// need no password or token. A listener without an Authenticator requires a client certificate for each connection, also for
// these two.
//
// A client that closes the writing half of its connection receives the response. The conn's context ends only when the
// response cannot be written.
package http
