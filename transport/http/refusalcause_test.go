package http_test

import (
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/stretchr/testify/require"

	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/transport/http"
)

// The bodies of 400 and 403, and OnRefused, have the cause. A 400 has no claim.
func TestRefusalHasItsCauseInBodyAndLog(t *testing.T) {
	refusals := make(chan transport.Refusal, 1)
	l := listen(t, &http.Transport{OnRefused: func(r transport.Refusal) { refusals <- r }})
	echo(t, l)
	for _, test := range []struct {
		name, text string
		status     int
		want       string
	}{
		{"empty", request(""), 400, "Bad Request: the body is empty; POST one command, with Content-Length or in chunks"},
		{"no object", request("hello"), 400, "Bad Request: a command is a JSON object, and the body begins with 'h'"},
		{"a control character", request("\x01"), 400, `Bad Request: a command is a JSON object, and the body begins with '\x01'`},
		{"more behind it", request("{} x"), 400, "Bad Request: no command begins with 'x', at byte 3 of the body"},
		{"a second one", request("{}{}"), 400, "Bad Request: there is more behind the frame, which ends at byte 2; send one at a time"},
		{"a second one, in chunks", request(chunks("{}{}"), "Transfer-Encoding: chunked"), 400, "Bad Request: a second command in one body; POST each in a request of its own"},
		{"cut off", request(`{"command":`), 400, "Bad Request: the body ends within the command, after 11 bytes of it; is Content-Length right?"},
		{"another host", request(command, "Host: evil.example"), 403, `Forbidden: the host "evil.example" is not a name of this daemon; if it is, add it to allow-hosts`},
		{"another page", request(command, "Origin: https://evil.example"), 403,
			`Forbidden: the page "https://evil.example" is not allowed: only pages of this address are, and programs, which send neither Origin nor Sec-Fetch-Site (cross-origin request detected, and/or browser is out of date: Sec-Fetch-Site is missing, and Origin does not match Host)`},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := exchange(t, l, test.text)
			require.Equal(t, test.status, got.StatusCode)
			var body struct {
				Result int
				Text   string
			}
			require.NoError(t, json.Unmarshal([]byte(got.body), &body, json.MatchCaseInsensitiveNames(true)), "%s", got.body)
			require.Equal(t, test.status, body.Result)
			require.Equal(t, test.want, body.Text)
			r := <-refusals
			require.Contains(t, test.want, r.Err.Error())
			require.Equal(t, test.status == 400, r.Malformed)
		})
	}
}

// The error has the text of a 403. Only a 403 without a text gets advice.
func TestStatusErrorHasTheDaemonsText(t *testing.T) {
	statusErr := &http.StatusError{Status: 403, Text: `Forbidden: the host "x" is not a name of this daemon`}
	require.Equal(t, `HTTP status 403, "Forbidden: the host \"x\" is not a name of this daemon"`, statusErr.Error())
	silent := &http.StatusError{Status: 403, Text: "Forbidden"}
	require.Contains(t, silent.Error(), "add the name to allow-hosts")
}
