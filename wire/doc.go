// Package wire encodes and decodes the JSON inside a frame: [Request], [Reply], result [Code] and [Error].
//
// A daemon calls [DecodeRequest] and [AppendReply]; a client calls [AppendRequest] and [DecodeReply].
//
// Decoding is strict: RFC 8259 and nothing more, no key twice, no invalid UTF-8, nothing behind the
// value, nesting as Kea allows it. An error names the defect and its place. Encoding writes JSON that every
// client of Kea can read: compact, in raw UTF-8, without a \u escape above \u00ff, an integer beyond
// 64 bits or NaN. [AppendKea] spells it as Kea does.
//
// The package does not interpret the arguments of a request: they stay bytes, a [Value], until a handler
// decodes them into its type. All functions may be called from any goroutine.
package wire
