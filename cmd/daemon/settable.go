package main

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/rudderpost/rudderpost/wire"

	"github.com/go-json-experiment/json"
)

// What may be set over the channel has the tag wire:"set". All else names files or code, or gives rights:
// whoever could set that could make himself more than he is, and so it changes in the file only. A key
// without the tag is frozen by default. A key with the tag wire:"narrow" may be set to a value that
// gives fewer rights than the one in force (decision 64).
func settable(f reflect.StructField) bool { return f.Tag.Get("wire") == "set" }

func keyOf(f reflect.StructField) string {
	key, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
	return key
}

// keepFrozen copies what is frozen, so that it need not be said again.
func keepFrozen(running, next *Config) {
	from, to := reflect.ValueOf(running).Elem(), reflect.ValueOf(next).Elem()
	for i := range to.NumField() {
		f := to.Type().Field(i)
		switch {
		case keyOf(f) == "" || settable(f):
		case f.Type.Kind() == reflect.Struct:
			keepFrozenFields(from.Field(i), to.Field(i))
		case f.Type.Kind() == reflect.Slice && f.Type.Elem() == reflect.TypeFor[*Listen]():
		default:
			to.Field(i).Set(from.Field(i))
		}
	}
}

func keepFrozenFields(from, to reflect.Value) {
	for i := range to.NumField() {
		if f := to.Type().Field(i); keyOf(f) != "" && !settable(f) {
			to.Field(i).Set(from.Field(i))
		}
	}
}

// thaw refuses a configuration in which something that is frozen has changed. A secret that is hidden is
// the one that is there.
func thaw(running, next *Config) error {
	bad := &wire.Error{Code: wire.CodeError, Word: "not-settable"}
	refuseAs := func(pointer, text string) {
		bad.Fields = append(bad.Fields, wire.Field{Pointer: "/" + section + pointer, Text: text + "; change it in the file, and give config-reload"})
	}
	refuse := func(pointer string) { refuseAs(pointer, "cannot be set over the channel") }
	from, to := reflect.ValueOf(running).Elem(), reflect.ValueOf(next).Elem()
	for i := range to.NumField() {
		f := to.Type().Field(i)
		key := keyOf(f)
		switch {
		case key == "" || settable(f):
		case f.Type.Kind() == reflect.Struct:
			thawFields(from.Field(i), to.Field(i), "/"+key, refuse)
		case key == "listen":
			thawListeners(running.Listen, next.Listen, refuseAs)
		case !same(from.Field(i), to.Field(i)):
			refuse("/" + key)
		default:
			to.Field(i).Set(from.Field(i))
		}
	}
	if len(bad.Fields) == 0 {
		return nil
	}
	bad.Text = fmt.Sprintf("'%s' %s", strings.TrimPrefix(bad.Fields[0].Pointer, "/"+section+"/"), bad.Fields[0].Text)
	return bad
}

func thawFields(from, to reflect.Value, at string, refuse func(string)) {
	for i := range to.NumField() {
		f := to.Type().Field(i)
		switch key := keyOf(f); {
		case key == "" || settable(f):
		case !same(from.Field(i), to.Field(i)):
			refuse(at + "/" + key)
		}
	}
}

// same reports whether two values are written alike, also where the second one has a secret hidden.
func same(a, b reflect.Value) bool {
	running, err := reveal(a.Interface())
	if err != nil {
		return false
	}
	next, err := reveal(b.Interface())
	if err != nil {
		return false
	}
	shown, err := json.Marshal(a.Interface(), json.Deterministic(true))
	return string(next) == string(running) || err == nil && string(next) == string(shown)
}
