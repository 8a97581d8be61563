// Package translate turns texts into other languages. A Provider does it; LibreTranslate is one that speaks to a server of
// that project, or to any that offers the same calls.
package translate

import (
	"context"
	"errors"
)

// Language is a language that texts can be turned into.
type Language struct {
	Code       string // as "en" or "zh-Hans"
	Name       string // in English
	NativeName string // in the language itself
}

// Translation is a text in other languages.
type Translation struct {
	Language string   // the code of the language that the text was taken to be in; empty: not known
	Score    float64  // how sure that is, 0 to 1
	Texts    []string // in the order of the languages that were asked for
}

// ErrBusy is returned when too many texts wait to be translated.
var ErrBusy = errors.New("too many texts wait to be translated")

// Provider is a service that translates. Its methods are safe for concurrent use, and give up when it takes so long that
// nobody waits any more.
type Provider interface {
	// Languages returns the languages that texts can be turned into.
	Languages(ctx context.Context) ([]Language, error)
	// Translate turns a text into languages, given by their codes. It finds out by itself which language the text is in.
	Translate(ctx context.Context, text string, to []string) (Translation, error)
}
