// The lexer: each text's tokens are written down and compared with a table, errors with
// PostgreSQL's words.
#include "host/base/buf.h"
#include "host/sql/lex.h"
#include "host/sql/parse.h"
#include "tests/lib/mr_test.h"

#include <string.h>

static void add_token(struct mr_buf *out, const struct mr_lexer *l, const struct mr_token *t)
{
	switch ((enum mr_token_kind)t->kind) {
	case MR_TOK_END: mr_buf_str(out, "."); break;
	case MR_TOK_ERROR: mr_buf_printf(out, "!%s", l->diag.message); break;
	case MR_TOK_WORD: mr_buf_printf(out, "%s%s", t->keyword ? "k:" : "w:", t->text); break;
	case MR_TOK_QUOTED: mr_buf_printf(out, "q:%s", t->text); break;
	case MR_TOK_STRING: mr_buf_printf(out, "s:%s", t->text); break;
	case MR_TOK_INT: mr_buf_printf(out, "i:%lld", (long long)t->integer); break;
	case MR_TOK_NUMBER: mr_buf_printf(out, "n:%s", t->text); break;
	case MR_TOK_PARAM: mr_buf_printf(out, "$%lld", (long long)t->integer); break;
	case MR_TOK_OP: mr_buf_printf(out, "o:%s", t->text); break;
	case MR_TOK_CAST: mr_buf_str(out, "cast"); break;
	case MR_TOK_ARROW: mr_buf_str(out, "arrow"); break;
	case MR_TOK_DOTS: mr_buf_str(out, "dots"); break;
	case MR_TOK_CHAR: mr_buf_printf(out, "c:%c", t->character); break;
	}
}

// All tokens of a text, separated by blanks, up to its end or first error.
static void dump(struct mr_buf *out, const char *text, bool positions)
{
	struct mr_arena arena;
	struct mr_lexer l;
	struct mr_token t;

	mr_arena_init(&arena, 0);
	mr_lex_init(&l, mr_span_str(text), 0, &arena);
	mr_buf_reset(out);
	do {
		mr_lex_next(&l, &t);
		mr_buf_str(out, out->bytes ? " " : "");
		add_token(out, &l, &t);
		if (positions)
			mr_buf_printf(out, "@%d", t.pos);
	} while (t.kind != MR_TOK_END && t.kind != MR_TOK_ERROR);
	mr_buf_u8(out, 0);
	mr_arena_fini(&arena);
}

struct text_case {
	const char *text;
	const char *tokens;
};

static void check_cases(const struct text_case *cases, size_t count, bool positions)
{
	struct mr_buf out = {0};

	for (size_t i = 0; i < count; i++) {
		dump(&out, cases[i].text, positions);
		if (strcmp((char *)out.data, cases[i].tokens) != 0)
			print_message("of: %s\n", cases[i].text);
		assert_string_equal((char *)out.data, cases[i].tokens);
	}
	mr_buf_fini(&out);
}

static void words_fold_and_quoted_ones_do_not(void **)
{
	static const struct text_case cases[] = {
		{"", "."}, {"Select FOO _x$1", "k:select w:foo w:_x$1 ."},
		{"\"Foo\" \"a\"\"b\" \"select\"", "q:Foo q:a\"b q:select ."},
		{"\"\"", "!zero-length delimited identifier at or near \"\"\"\""},
		{"a \"bc", "w:a !unterminated quoted identifier at or near \"\"bc\""},
		{"ÄÖ ä", "w:ÄÖ w:ä ."}, // only ASCII folds
	};

	check_cases(cases, MR_COUNT_OF(cases), false);
}

static void numbers_follow_postgres_15(void **)
{
	static const struct text_case cases[] = {
		{"0 42 9223372036854775807", "i:0 i:42 i:9223372036854775807 ."},
		{"9223372036854775808", "n:9223372036854775808 ."},
		{"1. .5 1.5 1e10 1.e-3 .5E+2", "n:1. n:.5 n:1.5 n:1e10 n:1.e-3 n:.5E+2 ."},
		{"1..10", "i:1 dots i:10 ."},
		{"a.5", "w:a n:.5 ."},
		{"1a", "!trailing junk after numeric literal at or near \"1a\""},
		{"1e", "!trailing junk after numeric literal at or near \"1e\""},
		{"1e+x", "!trailing junk after numeric literal at or near \"1e+\""},
		{"1ä", "!trailing junk after numeric literal at or near \"1ä\""},
		{"$1 $12", "$1 $12 ."},
		{"$1a", "!trailing junk after parameter at or near \"$1a\""},
		{"$99999999999", "!parameter number too large at or near \"$99999999999\""},
	};

	check_cases(cases, MR_COUNT_OF(cases), false);
}

static void strings_of_every_kind(void **)
{
	static const struct text_case cases[] = {
		{"'it''s' ''", "s:it's s: ."},
		{"'a\\n'", "s:a\\n ."}, // standard_conforming_strings
		{"'a'\n'b' -- x\n 'c'", "s:abc ."},
		{"'a' -- x\n 'b'", "s:ab ."},
		{"'a' 'b'", "s:a s:b ."}, // no newline: two strings
		{"E'a\\tb\\\\\\'c\\x41\\101'", "s:a\tb\\'cAA ."},
		{"e'\\u00e9\\U0001F600\\uD83D\\uDE00'", "s:é😀😀 ."},
		{"E'\\q'\n'\\x42'", "s:qB ."},
		{"$$a'b$$ $t$x$$y$t$", "s:a'b s:x$$y ."},
		{"$t$x", "!unterminated dollar-quoted string at or near \"$t$x\""},
		{"'abc", "!unterminated quoted string at or near \"'abc\""},
		{"E'abc\\'", "!unterminated quoted string at or near \"E'abc\\'\""},
		{"E'\\u00'", "!invalid Unicode escape"},
		{"E'\\u0000'", "!invalid Unicode escape value at or near \"E'\\u0000\""},
		{"E'\\xff'", "!invalid byte sequence for encoding \"UTF8\": 0xff"},
		{"E'\\x00'", "!invalid byte sequence for encoding \"UTF8\": 0x00"},
		{"b'1'", "!bit strings are not supported"},
		{"U&\"x\"", "!U& strings and identifiers are not supported"},
		{"n'x'", "k:nchar s:x ."},
		{"ex 'x'", "w:ex s:x ."},
	};

	check_cases(cases, MR_COUNT_OF(cases), false);
}

static void operators_end_where_postgres_says(void **)
{
	static const struct text_case cases[] = {
		{"a+-1", "w:a o:+ o:- i:1 ."},
		{"a=-1", "w:a o:= o:- i:1 ."},
		{"a@-1", "w:a o:@- i:1 ."},
		{"a<>b!=c", "w:a o:<> w:b o:<> w:c ."},
		{"a->>b::c", "w:a o:->> w:b cast w:c ."},
		{"a=>b:=c", "w:a arrow w:b arrow w:c ."},
		{"a+--x\nb", "w:a o:+ w:b ."},
		{"a*/**/b", "w:a o:* w:b ."},
		{"(a,b)[1:2];", "c:( w:a c:, w:b c:) c:[ i:1 c:: i:2 c:] c:; ."},
		{"{ \\ $", "c:{ c:\\ c:$ ."},
	};

	check_cases(cases, MR_COUNT_OF(cases), false);
}

static void comments_nest_and_positions_count_characters(void **)
{
	static const struct text_case cases[] = {
		{" a /* /* b */ */ c", "w:a@2 w:c@18 .@19"},
		{"-- x\na", "w:a@6 .@7"},
		{"'ää' \"ö\" 😀 x", "s:ää@1 q:ö@6 w:😀@10 w:x@12 .@13"},
		{"a /* b", "w:a@1 !unterminated /* comment at or near \"/* b\"@3"},
	};

	check_cases(cases, MR_COUNT_OF(cases), true);
}

static void long_identifiers_are_cut_between_characters(void **)
{
	char text[160];
	struct mr_buf out = {0};

	memset(text, 'A', 100);
	text[100] = 0;
	dump(&out, text, false);
	assert_int_equal(strcspn((char *)out.data, " "), 2 + MR_SQL_IDENT_BYTES_MAX);

	memset(text, 'a', 62);
	strcpy(text + 62, "äb"); // the two bytes of ä are bytes 63 and 64
	dump(&out, text, false);
	assert_int_equal(strcspn((char *)out.data, " "), 2 + 62);

	memset(text, '+', 100);
	memcpy(text, "@", 1);
	text[100] = 0;
	dump(&out, text, false);
	assert_memory_equal(out.data, "!operator too long", 18);
	mr_buf_fini(&out);
}

static void keywords_are_sorted_and_found(void **)
{
	for (int k = 1; k < MR_KW_COUNT; k++) {
		assert_true(k == 1 || strcmp(mr_keywords[k - 1].text, mr_keywords[k].text) < 0);
		assert_int_equal(mr_keyword_find(mr_keywords[k].text), k);
	}
	assert_int_equal(mr_keyword_find("tumble"), MR_NO_KEYWORD);
	assert_int_equal(mr_keyword_find(""), MR_NO_KEYWORD);
	assert_int_equal(mr_keyword_find("zz"), MR_NO_KEYWORD);
	assert_int_equal(mr_keywords[MR_KW_SELECT].class, MR_KW_RESERVED);
	assert_int_equal(mr_keywords[MR_KW_COALESCE].class, MR_KW_COL_NAME);
	assert_int_equal(mr_keywords[MR_KW_LEFT].class, MR_KW_TYPE_FUNC);
	assert_int_equal(mr_keywords[MR_KW_VALUE].class, MR_KW_UNRESERVED);
}

static void utf8_check_finds_the_first_bad_byte(void **)
{
	static const struct {
		const char *text;
		size_t bytes;
		size_t bad;
	} cases[] = {
		{"aä€😀", 10, 10},
		{"a\0b", 3, 1},
		{"a\x80", 2, 1},
		{"\xc0\x80", 2, 0},         // overlong
		{"\xe0\x80\x80", 3, 0},     // overlong
		{"x\xed\xa0\x80", 4, 1},    // surrogate
		{"\xf4\x90\x80\x80", 4, 0}, // above U+10FFFF
		{"\xf0\x8f\xbf\xbf", 4, 0}, // overlong
		{"ab\xc3", 3, 2},           // cut short
		{"\xf4\x8f\xbf\xbf", 4, 4},
	};

	for (size_t i = 0; i < MR_COUNT_OF(cases); i++)
		assert_int_equal(
			mr_sql_utf8_bad(mr_span(cases[i].text, cases[i].bytes)), cases[i].bad);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_fold_and_quoted_ones_do_not),
		cmocka_unit_test(numbers_follow_postgres_15),
		cmocka_unit_test(strings_of_every_kind),
		cmocka_unit_test(operators_end_where_postgres_says),
		cmocka_unit_test(comments_nest_and_positions_count_characters),
		cmocka_unit_test(long_identifiers_are_cut_between_characters),
		cmocka_unit_test(keywords_are_sorted_and_found),
		cmocka_unit_test(utf8_check_finds_the_first_bad_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
