package main

import "fmt"

// The requests of clients in JSON, about 60 bytes each. Ids have two digits, so that all requests have one length. A command
// without an id is the last of its conn.
func jsonCommand(s *site, value string, i int) []byte {
	name, id := "bench-echo", fmt.Sprintf(`,"id":%d`, 10+i)
	if value == slower {
		name = "bench-slow"
	}
	if s.Each {
		id = ""
	}
	return fmt.Appendf(nil, `{"command":%q,"arguments":{"value":%q}%s}`, name, value, id)
}

// lineCommand returns a command on a line.
func lineCommand(s *site, value string, i int) []byte { return append(jsonCommand(s, value, i), '\n') }

// postCommand returns a command in a POST, with the token of the site.
func postCommand(s *site, value string, i int) []byte {
	return post("/", "application/json", "Authorization: Bearer "+s.Token+"\r\n", jsonCommand(s, value, i))
}

func post(path, kind, headers string, body []byte) []byte {
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: %s\r\n%sContent-Length: %d\r\n\r\n%s", path, kind, headers, len(body), body)
}

// messageCommand returns a command in a WebSocket message (RFC 6455). Its mask is zero, which costs a server as much as any
// other.
func messageCommand(s *site, value string, i int) []byte {
	command := jsonCommand(s, value, i)
	return append([]byte{0x81, 0x80 | byte(len(command)), 0, 0, 0, 0}, command...)
}

// upgrade returns the request for a WebSocket. Floors and rudderpost have the same prologue.
func upgrade(s *site) []byte {
	return []byte("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer " + s.Token + "\r\n\r\n")
}
