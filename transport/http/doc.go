// Package http reaches a daemon by POST, as Kea's own tools do: kea-shell, Stork and a curl line from
// Kea's manual work without change.
//
// One POST is one [transport.Conn]: the body is the one frame that it receives, and what it sends is
// the answer. The path means nothing. The answer is 200 with an array around the reply. With
// "Accept: application/x-ndjson" each reply is a line of its own, sent as soon as there is one. A reply that is
// sent with a status ([transport.WithStatus]) is the bare body of that status. Persistence, pipelining and chunks
// are HTTP's own affair.
//
// The listener itself answers with another status when no command was run, or when it gave no reply. The body is
// the bare map that Kea's clients know, { "result": 401, "text": "Unauthorized" }:
//
//	400  the body is not one JSON object or array, or was cut off
//	401  the credentials are missing or wrong: Basic, Bearer, or a client certificate
//	403  the Host is none of ours (DNS rebinding), or a page of another origin asks
//	405  it is not a POST
//	408  nothing came for Idle
//	413  the body is longer than MaxFrame
//	415  the body is not application/json in UTF-8, or is compressed
//	429  too many wrong credentials, or too many to verify; Retry-After says when to try again
//	500  the command gave no reply
//	503  the daemon takes no more commands
//
// Host and method are looked at first, then the credentials, then the body: nobody makes a daemon
// read before it knows who that is. GET /healthz says that the process lives, GET /readyz that it
// takes commands; both need no password or token. A listener without an Authenticator requires a client certificate for
// each connection, also for these two.
//
// A client that closes its half of the connection is still answered. That it has left altogether
// shows only when the answer cannot be delivered.
package http
