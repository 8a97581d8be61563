package message

import (
	"context"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/stoa-chat/stoa/errcode"
	"github.com/stoa-chat/stoa/internal/account"
	"github.com/stoa-chat/stoa/internal/translate"
)

const (
	maxTranslated = 5000 // characters of a text
	maxLanguages  = 20   // in one call
)

// Languages returns the languages that texts can be translated into. The errors are code 505 (the app does not offer
// translation, or the server has no provider) and 1204.
func (s *Service) Languages(ctx context.Context, app *account.App) ([]translate.Language, error) {
	if s.Translator == nil || !app.Settings.Translation {
		return nil, off("translate", "translation")
	}
	languages, err := s.Translator.Languages(ctx)
	if err != nil {
		return nil, noTranslation(err)
	}
	return languages, nil
}

// Translate translates a text into languages, whose codes may be written in small or capital letters. The errors are code
// 505, 1200 (no language, or one that the provider does not know), 1201 (the text is too long), 50 (too many languages)
// and 1204.
func (s *Service) Translate(ctx context.Context, app *account.App, text string, to []string) (translate.Translation, error) {
	known, err := s.Languages(ctx, app)
	if err != nil {
		return translate.Translation{}, err
	}
	if n := utf8.RuneCountInString(text); n > maxTranslated {
		return translate.Translation{}, errcode.Newf(errcode.TranslationTooLong, "the text has %d characters, the limit is %d", n, maxTranslated)
	}
	if len(to) == 0 {
		return translate.Translation{}, errcode.New(errcode.TranslationNotValid, "no language is named")
	}
	if len(to) > maxLanguages {
		return translate.Translation{}, errcode.Newf(errcode.MaxLimit, "there are %d languages, the limit is %d", len(to), maxLanguages)
	}
	codes := make([]string, len(to))
	for i, code := range to {
		at := slices.IndexFunc(known, func(l translate.Language) bool { return strings.EqualFold(l.Code, code) })
		if at < 0 {
			return translate.Translation{}, errcode.Newf(errcode.TranslationNotValid, "%q is no language that texts can be translated into", code)
		}
		codes[i] = known[at].Code
	}
	translation, err := s.Translator.Translate(ctx, text, codes)
	if err != nil {
		return translate.Translation{}, noTranslation(err)
	}
	return translation, nil
}

func noTranslation(err error) error {
	return &errcode.Error{Code: errcode.TranslationFailed, Op: "translate", Message: "the translation service did not answer as it should", Err: err}
}

// off refuses what the app does not offer.
func off(op, what string) error {
	return &errcode.Error{Code: errcode.ServiceNotEnabled, Op: op, Message: what + " is switched off for this app"}
}
