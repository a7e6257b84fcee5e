// Package wire is the JSON inside a frame: [Request], [Reply], result [Code] and [Error].
//
// It reads strictly: RFC 8259 and nothing more, no key twice, no invalid UTF-8, nothing behind the
// value, nesting as Kea allows it. An error says what is wrong and where. It writes what every
// client of Kea can read: compact JSON in raw UTF-8, no \u escape above \u00ff, no integer beyond
// 64 bits, no NaN. [AppendKea] spells it as Kea does.
//
// What a request's arguments mean is not known here: they stay bytes, a [Value], until a handler's
// type wants them.
package wire
