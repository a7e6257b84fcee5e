package main

import "fmt"

// What clients say to those that read JSON, about 60 bytes. Ids have two digits, so that all requests are of one length. A
// command without an id is the last of its conn.
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

// lineCommand is a command on a line.
func lineCommand(s *site, value string, i int) []byte { return append(jsonCommand(s, value, i), '\n') }

// postCommand is a command in a POST, by whoever has the site's token.
func postCommand(s *site, value string, i int) []byte {
	return post("/", "application/json", "Authorization: Bearer "+s.Token+"\r\n", jsonCommand(s, value, i))
}

func post(path, kind, headers string, body []byte) []byte {
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: %s\r\n%sContent-Length: %d\r\n\r\n%s", path, kind, headers, len(body), body)
}

// messageCommand is a command in a WebSocket message (RFC 6455). Its mask is zero, which is one like any other
// to a server.
func messageCommand(s *site, value string, i int) []byte {
	command := jsonCommand(s, value, i)
	return append([]byte{0x81, 0x80 | byte(len(command)), 0, 0, 0, 0}, command...)
}

// upgrade asks for a WebSocket. The prologue is the same for floors and for ours.
func upgrade(s *site) []byte {
	return []byte("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer " + s.Token + "\r\n\r\n")
}
