package errcode

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// Command does what `stoa errors [QUERY] [--json]` does: without a query it lists the catalogue, with a number or a
// name (legacy or Go, in any case) it explains one code. For JSON it writes the entries as they stand in the catalogue:
// an array for the list, one object for a query. An unknown query is an error that names the nearest codes.
func Command(w io.Writer, query string, asJSON bool) error {
	query = strings.TrimSpace(query)
	if query == "" {
		if asJSON {
			return writeJSON(w, All())
		}
		return List(w)
	}
	entry, ok := Find(query)
	if !ok {
		var near []string
		for _, e := range Nearest(query, 3) {
			near = append(near, fmt.Sprintf("%d %s", int(e.Code), e.GoName))
		}
		return fmt.Errorf("no error code %q; did you mean %s?", query, strings.Join(near, ", "))
	}
	if asJSON {
		return writeJSON(w, entry)
	}
	return Explain(w, entry)
}

// Find returns the entry that a person means by a number or a name (legacy or Go, in any case).
func Find(query string) (Entry, bool) {
	if n, err := strconv.Atoi(query); err == nil {
		return Lookup(Code(n))
	}
	return ByName(query)
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// Explain writes all there is to know about one code as plain text.
func Explain(w io.Writer, e Entry) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%d %s\n%s\n", int(e.Code), e.Name, e.Summary)
	for _, s := range e.sections() {
		fmt.Fprintf(&b, "\n%s\n", s.title)
		for _, line := range s.lines {
			fmt.Fprintf(&b, "  - %s\n", line)
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

// List writes the catalogue as an aligned table, one line for each entry.
func List(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "CODE\tNAME\tGO\tMEANING")
	for _, e := range All() {
		fmt.Fprintf(tw, "%d\t%s\t%s\t%s\n", int(e.Code), e.Name, e.GoName, e.Summary)
	}
	return tw.Flush()
}

// Markdown writes the page docs/errors.md: a table of all codes and a section for each.
func Markdown(w io.Writer) error {
	var b bytes.Buffer
	b.WriteString(`<!-- Generated from errcode/error-codes.json by "go generate ./errcode"; do not edit. -->

# Error codes

Each code has one meaning, whichever client shows it: the numbers and names are those of the web SDK, the Go names are
the constants of package ` + "`errcode`" + `. In Go a code is asked for with ` + "`errors.Is(err, errcode.UserNotFriend)`" + `; in the web
SDK it stands in the error's ` + "`type`" + `. ` + "`stoa errors 221`" + ` shows the same text in a shell.

| code | name | Go name | meaning | what a client does |
|--:|---|---|---|---|
`)
	for _, e := range All() {
		fmt.Fprintf(&b, "| [%d](#%s) | `%s` | `%s` | %s | %s |\n",
			int(e.Code), e.anchor(), e.Name, e.GoName, cell(e.Summary), cell(clientActions[e.ClientAction]))
	}
	for _, e := range All() {
		fmt.Fprintf(&b, "\n<a id=\"%s\"></a>\n\n## %d `%s`\n\n%s\n", e.anchor(), int(e.Code), e.Name, text(e.Summary))
		for _, s := range e.sections() {
			fmt.Fprintf(&b, "\n%s:\n\n", s.title)
			for _, line := range s.lines {
				fmt.Fprintf(&b, "- %s\n", text(line))
			}
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}

// anchor names an entry's place in the page: its number, or the name for the second entry of code 0.
func (e Entry) anchor() string {
	if first, _ := Lookup(e.Code); first.Name != e.Name {
		return strings.ToLower(e.Name)
	}
	return strconv.Itoa(int(e.Code))
}

var markdownText = strings.NewReplacer("<", "&lt;", "*", `\*`, "_", `\_`, "`", "\\`")

func text(s string) string { return markdownText.Replace(s) }
func cell(s string) string { return strings.ReplaceAll(text(s), "|", `\|`) }

// section is one heading of an explanation with the points below it.
type section struct {
	title string
	lines []string
}

// sections is the explanation of an entry after number, name and summary, the same for every form of it.
func (e Entry) sections() []section {
	goSDK := []string{"errcode." + e.GoName}
	for _, s := range e.Surfaces {
		goSDK = append(goSDK, surfaceTexts[s])
	}
	sections := []section{
		{"Why it happens", e.Causes},
		{"What helps", e.Remedies},
		{"What a client does", []string{clientActions[e.ClientAction]}},
		{"In the Go SDK", goSDK},
		{"In the web SDK", []string{e.WebSDKSurface}},
	}
	if forms := e.forms(); len(forms) > 0 {
		sections = append(sections, section{"What the server does", forms})
	}
	if e.Alone != nil {
		sections = append(sections, section{"How to meet it", []string{e.Alone.How, "Go: " + e.Alone.Go, "web: " + e.Alone.Web}})
	} else {
		sections = append(sections, section{"How to rehearse it", []string{fmt.Sprintf("stoa rehearse %d --user NAME", int(e.Code))}})
	}
	if e.Note != "" {
		sections = append(sections, section{"Note", []string{e.Note}})
	}
	return sections
}

// forms are the entry's wire forms in words; those that differ only in a text are one.
func (e Entry) forms() (forms []string) {
	for _, w := range e.Wire {
		if form := w.form(); form != "" && !slices.Contains(forms, form) {
			forms = append(forms, form)
		}
	}
	return forms
}

// form tells a wire form in a line; empty for a kind that is none of a server.
func (w Wire) form() string {
	status := fmt.Sprintf("status %d", w.Status)
	if w.Reason != "" {
		status += fmt.Sprintf(", reason %q", w.Reason)
	}
	body := ""
	if len(w.Body) > 0 && string(w.Body) != "{}" {
		body = " and " + string(w.Body)
	}
	switch w.Kind {
	case "provision":
		return "answers the login (Provision) with " + status
	case "ack":
		return fmt.Sprintf("answers %s with %s", w.Op, status)
	case "notice":
		return fmt.Sprintf("sends the notice (StatisticsBody) with operation %d, then closes the socket", w.Operation)
	case "rest":
		where := ""
		if w.On != "any" {
			where = " about " + w.On
		}
		return fmt.Sprintf("answers a REST call%s with HTTP %d%s", where, w.HTTP, body)
	case "token":
		return fmt.Sprintf("answers the request for a token with HTTP %d%s", w.HTTP, body)
	case "upload":
		return fmt.Sprintf("answers the upload (%s) with HTTP %d%s", w.Target, w.HTTP, body)
	case "download":
		return fmt.Sprintf("answers the download with HTTP %d%s", w.HTTP, body)
	case "room_attribute":
		return fmt.Sprintf("says %q of a chatroom's attribute", w.ErrorText)
	case "rest_reset":
		return "ends the connection of a REST call"
	case "close_before_provision":
		return "closes the socket before it has answered the login"
	case "close_instead_of_ack":
		return "closes the socket in place of an answer"
	case "silence":
		return fmt.Sprintf("does not answer %s for %d ms", w.Op, w.AfterMS)
	}
	return ""
}

// surfaceTexts explains the words of Entry.Surfaces.
var surfaceTexts = map[string]string{
	"return":         "returned by the call that failed",
	"onError":        "given to the OnError listener",
	"onDisconnected": "given to the OnDisconnected listener, since it ends the session",
}

// clientActions explains the words of Entry.ClientAction.
var clientActions = map[string]string{
	"none":            "Nothing needs to be done.",
	"fix_call":        "Correct the call before making it again.",
	"fix_credentials": "Get valid credentials, then log in again.",
	"fix_app":         "Mend the app or its storage; repeating the call does not help.",
	"log_in":          "Log in before going on; if the server ended the session, let the user decide.",
	"renew_token":     "Get a new token, then repeat the call or the login.",
	"wait_reconnect":  "Wait for the reconnect, then repeat the call.",
	"retry_later":     "Repeat later, each time after a longer pause.",
	"ask_people":      "Tell the user whom to ask; do not repeat by itself.",
	"ask_operator":    "Tell the user that the operator has to act; do not repeat by itself.",
	"read_message":    "Act on the message: it holds the reason.",
	"report":          "Log it with all its details and report it to the operator.",
	"stop":            "Give up: repeating cannot succeed.",
}
