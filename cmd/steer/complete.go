package main

import (
	"context"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/rudderpost/rudderpost/client"
	"github.com/rudderpost/rudderpost/transport"
	"github.com/rudderpost/rudderpost/wire"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"
)

// Completion writes a daemon's strings onto the command line of an interactive shell, and the daemon may be
// hostile. Every string is therefore checked here, once, whatever shell and whatever script asks.
// Decision 65 has the reasons.

// The strings that completion offers. None of them has a character that a shell treats as code, expands,
// or needs quotes for. Anything else is left out.
var (
	safeCommand  = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`) // the grammar of package mgr
	safeProperty = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]*$`)
	safeValue    = regexp.MustCompile(`^[A-Za-z0-9_./:@+,-]+$`)
)

// Bounds on what completion takes from a daemon.
const (
	maxOffers      = 2000 // command names, or arguments of one command
	maxOffer       = 128  // bytes of one
	maxDescription = 200  // characters of one
)

// complete is cobra's ValidArgsFunction. It asks the daemon for the command names, or for the arguments of
// the command that args names. It blocks for at most 1 s, and offers nothing if there is no daemon.
func (o *options) complete(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), time.Second)
	defer cancel()
	dialer, _, err := o.dialer(ctx, strings.NewReader(""), io.Discard)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	if len(args) == 0 {
		return commandNames(ctx, dialer), cobra.ShellCompDirectiveNoFileComp
	}
	return argumentNames(ctx, dialer, args), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// ask gives one command, and decodes what it returns. It needs no session, so that every daemon can be
// asked on every transport.
func ask(ctx context.Context, dialer transport.Dialer, out any, command string, arguments any) error {
	value, err := client.Arguments(arguments)
	if err != nil {
		return err
	}
	reply, err := client.Do(ctx, dialer, wire.Request{Command: command, Arguments: value})
	if err == nil {
		err = reply.Err()
	}
	if err == nil {
		err = reply.Decode(out)
	}
	return err
}

// commandNames lists the names that list-commands returns and that are safe.
func commandNames(ctx context.Context, dialer transport.Dialer) []string {
	var names []string
	_ = ask(ctx, dialer, &names, "list-commands", nil)
	names = slices.DeleteFunc(names, func(name string) bool {
		return len(name) > maxOffer || !safeCommand.MatchString(name)
	})
	return distinct(names)
}

// argumentNames lists the arguments of a command that are not given yet, each ready for its value. A tab
// stands between an argument and its description.
func argumentNames(ctx context.Context, dialer transport.Dialer, args []string) []string {
	if !safeCommand.MatchString(args[0]) {
		return nil
	}
	var about struct {
		Arguments struct {
			Properties map[string]jsontext.Value `json:"properties"`
		} `json:"arguments"`
	}
	if ask(ctx, dialer, &about, "describe-command", map[string]string{"command": args[0]}) != nil {
		return nil
	}
	var offers []string
	for _, name := range slices.Sorted(maps.Keys(about.Arguments.Properties)) {
		given := slices.ContainsFunc(args[1:], func(arg string) bool { return strings.HasPrefix(arg, name+"=") })
		if given || len(name) > maxOffer || !safeProperty.MatchString(name) {
			continue
		}
		offers = append(offers, argumentOffers(name, about.Arguments.Properties[name])...)
	}
	return distinct(offers)
}

// argumentOffers lists NAME= for a property, or one NAME=VALUE for each value of its enum. A description or
// an enum of an unexpected type counts as missing.
func argumentOffers(name string, schema jsontext.Value) []string {
	var property struct {
		Description jsontext.Value `json:"description"`
		Enum        jsontext.Value `json:"enum"`
	}
	_ = json.Unmarshal(schema, &property)
	var description string
	_ = json.Unmarshal(property.Description, &description)
	description = "\t" + plainText(description)
	var values []jsontext.Value
	_ = json.Unmarshal(property.Enum, &values)
	if len(values) == 0 {
		return []string{name + "=" + description}
	}
	var offers []string
	for _, value := range values {
		text := value.String()
		if value.Kind() == '"' {
			_ = json.Unmarshal(value, &text)
		}
		if len(text) <= maxOffer && safeValue.MatchString(text) {
			offers = append(offers, name+"="+text+description)
		}
	}
	return offers
}

// distinct sorts offers and leaves out the later ones of equal text before the tab. A shell that is given an
// offer twice takes it for the only one, and then inserts it with its description.
func distinct(offers []string) []string {
	slices.SortStableFunc(offers, func(a, b string) int { return strings.Compare(beforeTab(a), beforeTab(b)) })
	offers = slices.CompactFunc(offers, func(a, b string) bool { return beforeTab(a) == beforeTab(b) })
	return offers[:min(len(offers), maxOffers)]
}

func beforeTab(offer string) string {
	text, _, _ := strings.Cut(offer, "\t")
	return text
}

// plainText makes one line of printable characters of a description: what else it has becomes a space.
func plainText(text string) string {
	var b strings.Builder
	n := 0
	for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return !unicode.IsPrint(r) || r == ' ' }) {
		if n > 0 {
			word = " " + word
		}
		for _, r := range word {
			if n == maxDescription {
				return b.String() + "…"
			}
			b.WriteRune(r)
			n++
		}
	}
	return b.String()
}
