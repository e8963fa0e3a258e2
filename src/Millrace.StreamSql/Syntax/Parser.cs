using System.Globalization;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.Syntax;

/// <summary>
/// Recursive descent over the tokens of a script. A syntax error ends its statement; parsing goes on at the next one, so
/// that several mistakes are told at once.
/// </summary>
internal sealed class Parser
{
    private const int HeightMax = 400;

    private readonly List<Token> tokens;
    private readonly List<(int Position, string Message)> errors;
    private int index;
    private int depth;

    private Parser(List<Token> tokens, List<(int Position, string Message)> errors)
    {
        this.tokens = tokens;
        this.errors = errors;
    }

    public static Script Parse(string text, List<(int Position, string Message)> errors)
        => new Parser(Lexer.Read(text), errors).ParseScript();

    private Token Current => tokens[index];

    private Token Peek(int ahead = 1) => tokens[Math.Min(index + ahead, tokens.Count - 1)];

    private sealed class SyntaxException(int position, string message) : Exception(message)
    {
        public int Position { get; } = position;
    }

    private Script ParseScript()
    {
        var script = new Script();
        try
        {
            while (Current.Is("CREATE"))
                script.Tables.Add(ParseTable());
        }
        catch (SyntaxException failure)
        {
            Recover(failure, script);
        }

        if (Current.Is("WITH"))
        {
            try
            {
                ParseSteps(script);
            }
            catch (SyntaxException failure)
            {
                Recover(failure, script);
            }
        }

        while (Current.IsSymbol(";"))
            index++;
        while (Current.Kind != TokenKind.End)
        {
            try
            {
                var query = ParseQuery();
                if (!Current.IsSymbol(";") && Current.Kind != TokenKind.End && !Current.Is("SELECT") && !Current.IsSymbol("("))
                    throw Unexpected(QueryEndHint());
                script.Queries.Add(query);
            }
            catch (SyntaxException failure)
            {
                Recover(failure, script);
            }

            while (Current.IsSymbol(";"))
                index++;
        }

        if (script.Queries.Count == 0 && errors.Count == 0)
            errors.Add((Current.Position, "the script holds no query: SELECT is missing"));
        return script;
    }

    private string QueryEndHint() => Current.Is("ORDER")
        ? "the next query or the end (ORDER BY is not part of this language: results come in time order)"
        : "the next clause, the next query or the end";

    /// <summary>Notes the error and goes on at the next statement; steps that follow a broken WITH are unknown, so nothing is added.</summary>
    private void Recover(SyntaxException failure, Script script)
    {
        errors.Add((failure.Position, failure.Message));
        depth = 0;
        var parentheses = 0;
        while (Current.Kind != TokenKind.End && Current.Position < failure.Position)
            index++;
        if (Current.Kind != TokenKind.End && !Current.IsSymbol(";"))
            index++;
        while (Current.Kind != TokenKind.End)
        {
            if (Current.IsSymbol("("))
                parentheses++;
            else if (Current.IsSymbol(")"))
                parentheses--;
            else if (Current.IsSymbol(";"))
                break;
            else if (parentheses <= 0 && Current.Is("SELECT") && !Peek(-1).Is("UNION") && !Peek(-1).Is("ALL"))
                break;
            if (Current.Kind == TokenKind.Error)
            {
                errors.Add((Current.Position, Current.Text));
                index = tokens.Count - 1;
                break;
            }

            index++;
        }

        // An empty query tells the binder that something is missing: what depends on it is not judged.
        script.Queries.Add(new QueryClause());
    }

    private SyntaxException Unexpected(string expected)
        => Current.Kind == TokenKind.Error
            ? new SyntaxException(Current.Position, Current.Text)
            : new SyntaxException(Current.Position, $"found {Current.Shown} where {expected} was expected");

    private void Expect(string word)
    {
        if (!Current.Is(word))
            throw Unexpected(word);
        index++;
    }

    private void ExpectSymbol(string symbol)
    {
        if (!Current.IsSymbol(symbol))
            throw Unexpected(symbol);
        index++;
    }

    private bool Accept(string word)
    {
        if (!Current.Is(word))
            return false;
        index++;
        return true;
    }

    private bool AcceptSymbol(string symbol)
    {
        if (!Current.IsSymbol(symbol))
            return false;
        index++;
        return true;
    }

    private bool IsName(Token token)
        => token.Kind == TokenKind.Quoted || (token.Kind == TokenKind.Word && !Lexer.IsReserved(token.Text));

    private PathPart ExpectName(string what)
    {
        if (!IsName(Current))
        {
            throw Current.Kind == TokenKind.Word
                ? new SyntaxException(Current.Position, $"found '{Current.Text}' where {what} was expected (write [{Current.Text}] to use the word as a name)")
                : Unexpected(what);
        }

        var part = new PathPart(Current.Text, Current.Position);
        index++;
        return part;
    }

    private TableClause ParseTable()
    {
        Expect("CREATE");
        Expect("TABLE");
        var name = ExpectName("the name of an input");
        ExpectSymbol("(");
        var columns = new List<ColumnClause>();
        do
        {
            var column = ExpectName("a column name");
            var (type, text) = ParseType();
            columns.Add(new ColumnClause(column.Name, type, text));
        }
        while (AcceptSymbol(","));
        ExpectSymbol(")");
        while (AcceptSymbol(";"))
        {
        }

        return new TableClause(name, columns);
    }

    private void ParseSteps(Script script)
    {
        Expect("WITH");
        do
        {
            var name = ExpectName("a step name");
            Expect("AS");
            ExpectSymbol("(");
            var query = ParseQuery();
            ExpectSymbol(")");
            foreach (var branch in query.Branches)
            {
                if (branch.Into is { } into)
                    errors.Add((branch.IntoPosition, $"INTO is not allowed in a step: INTO {into.Name}"));
            }

            script.Steps.Add(new StepClause(name, query));
        }
        while (AcceptSymbol(","));
    }

    private QueryClause ParseQuery()
    {
        var query = new QueryClause();
        ParseBranch(query);
        while (Accept("UNION"))
        {
            Accept("ALL");
            ParseBranch(query);
        }

        return query;
    }

    private void ParseBranch(QueryClause query)
    {
        if (AcceptSymbol("("))
        {
            Deeper();
            var inner = ParseQuery();
            ExpectSymbol(")");
            depth--;
            inner.Branches.ForEach(b => AddBranch(query, b));
            return;
        }

        AddBranch(query, ParseSelect());
    }

    private static void AddBranch(QueryClause query, SelectClause select)
    {
        if (query.Branches.Count > 0 && select.Into is { } into)
            throw new SyntaxException(select.IntoPosition, $"INTO stands in the first branch of a UNION only: INTO {into.Name}");
        query.Branches.Add(select);
    }

    private SelectClause ParseSelect()
    {
        var select = new SelectClause(Current.Position);
        Expect("SELECT");
        select.IsDistinct = Accept("DISTINCT");
        if (Current.Is("TOP") && (Peek().Kind == TokenKind.Whole || Peek().IsSymbol("(")))
            throw new SyntaxException(Current.Position, "TOP is not part of this language (see TopOne and CollectTop)");
        do
            select.Items.Add(ParseItem());
        while (AcceptSymbol(","));
        if (Current.Is("INTO"))
        {
            select.IntoPosition = Current.Position;
            index++;
            select.Into = ExpectName("an output name");
        }

        Expect("FROM");
        select.Source = ParseSource();
        while (TryParseLink() is { } link)
            select.Links.Add(link);
        if (Current.Is("MATCH_RECOGNIZE"))
            select.Match = ParseMatch();
        if (Accept("WHERE"))
            select.Where = ParseExpression();
        if (Accept("GROUP"))
        {
            Expect("BY");
            select.GroupBy = [];
            do
                select.GroupBy.Add(ParseExpression());
            while (AcceptSymbol(","));
        }

        if (Current.Is("HAVING"))
        {
            select.HavingPosition = Current.Position;
            index++;
            select.Having = ParseExpression();
        }

        return select;
    }

    private SelectItem ParseItem()
    {
        var start = Current.Position;
        if (AcceptSymbol("*"))
            return new SelectItem(start);
        if (IsStarPath(out var path))
            return new SelectItem(Peek(-1).Position) { StarPath = path };
        if (IsName(Current) && Peek().IsSymbol("="))
        {
            var name = Current.Text;
            var first = index;
            index += 2;
            var aliased = ParseExpression();
            if (!Current.Is("AS") && !IsName(Current))
                return new SelectItem(start) { Expression = aliased, Alias = name };
            index = first;      // a = b AS c: the alias stands behind, so = compares
        }

        var expression = ParseExpression();
        if (Accept("AS"))
            return new SelectItem(start) { Expression = expression, Alias = ExpectColumnName() };
        if (IsName(Current))
        {
            var alias = Current.Text;
            index++;
            return new SelectItem(start) { Expression = expression, Alias = alias };
        }

        return new SelectItem(start) { Expression = expression };
    }

    /// <summary>Behind AS a string in quotes can only be a name.</summary>
    private string ExpectColumnName()
    {
        if (Current.Kind != TokenKind.Text)
            return ExpectName("a column name").Name;
        index++;
        return Peek(-1).Text;
    }

    private bool IsStarPath(out PathPart[] path)
    {
        path = [];
        var ahead = index;
        var parts = new List<PathPart>();
        while (IsName(tokens[ahead]) && tokens[Math.Min(ahead + 1, tokens.Count - 1)].IsSymbol("."))
        {
            parts.Add(new PathPart(tokens[ahead].Text, tokens[ahead].Position));
            ahead += 2;
        }

        if (parts.Count == 0 || !tokens[ahead].IsSymbol("*"))
            return false;
        path = [.. parts];
        index = ahead + 1;
        return true;
    }

    private SourceClause ParseSource()
    {
        if (Current.IsSymbol("(") && Peek().Is("SELECT"))
            throw new SyntaxException(Current.Position, "found '(' where an input or step name was expected (sub-queries are steps: WITH name AS (SELECT …))");
        var source = new SourceClause(ExpectName("an input or step name"));
        if (Accept("AS"))
        {
            source.Alias = ExpectName("an alias");
        }
        else if (IsName(Current))
        {
            source.Alias = new PathPart(Current.Text, Current.Position);
            index++;
        }

        while (Current.Is("TIMESTAMP") || Current.Is("PARTITION"))
        {
            var position = Current.Position;
            if (Accept("TIMESTAMP"))
            {
                Expect("BY");
                source.TimestampPosition = position;
                source.TimestampBy = ParseExpression();
                if (Accept("OVER"))
                {
                    do
                        source.TimestampOver.Add(ParseExpression());
                    while (AcceptSymbol(","));
                }
            }
            else
            {
                index++;
                Expect("BY");
                do
                    source.PartitionBy.Add(ParseExpression());
                while (AcceptSymbol(","));
                if (Accept("INTO") && Current.Kind != TokenKind.Whole)
                    throw Unexpected("a number of partitions");
                if (Current.Kind == TokenKind.Whole)
                    index++;
            }
        }

        return source;
    }

    private LinkClause? TryParseLink()
    {
        var position = Current.Position;
        if (Current.Is("RIGHT") || Current.Is("FULL"))
        {
            throw new SyntaxException(position, $"{Current.Text} JOIN is not supported: found '{Current.Text}' where INNER or LEFT was expected");
        }

        if (Current.Is("CROSS") && !Peek().Is("APPLY"))
        {
            if (Peek().Is("JOIN"))
                throw new SyntaxException(position, $"{Current.Text} JOIN is not supported: found '{Current.Text}' where INNER or LEFT was expected");
            index++;
            throw Unexpected("APPLY");
        }

        if (Current.Is("CROSS") || Current.Is("OUTER"))
        {
            var kind = Current.Is("CROSS") ? LinkKind.CrossApply : LinkKind.OuterApply;
            index++;
            Expect("APPLY");
            if (Current.Kind != TokenKind.Word || !Peek().IsSymbol("("))
                throw Unexpected("GetArrayElements or GetRecordProperties");
            if (ParsePrimary() is not CallExpr call)
                throw new SyntaxException(position, "APPLY needs GetArrayElements or GetRecordProperties");
            Expect("AS");
            return new LinkClause(kind, position) { Apply = call, ApplyAlias = ExpectName("an alias") };
        }

        var join = LinkKind.InnerJoin;
        if (Accept("LEFT"))
        {
            Accept("OUTER");
            join = LinkKind.LeftJoin;
            Expect("JOIN");
        }
        else if (Accept("INNER"))
        {
            Expect("JOIN");
        }
        else if (!Accept("JOIN"))
        {
            return null;
        }

        var source = ParseSource();
        Expect("ON");
        return new LinkClause(join, position) { Source = source, On = ParseExpression() };
    }

    private MatchClause ParseMatch()
    {
        var match = new MatchClause(Current.Position);
        Expect("MATCH_RECOGNIZE");
        ExpectSymbol("(");
        var finished = false;
        while (!finished)
        {
            if (Current.Is("LIMIT"))
            {
                match.Limit = ParseLimit();
            }
            else if (Accept("PARTITION"))
            {
                Expect("BY");
                do
                    match.PartitionBy.Add(ParseExpression());
                while (AcceptSymbol(","));
            }
            else if (Accept("MEASURES"))
            {
                do
                {
                    var expression = ParseExpression();
                    Expect("AS");
                    match.Measures.Add((expression, ExpectName("a column name").Name));
                }
                while (AcceptSymbol(","));
            }
            else if (Accept("AFTER"))
            {
                Expect("MATCH");
                Expect("SKIP");
                Expect("TO");
                Expect("NEXT");
                Expect("ROW");
            }
            else if (Accept("PATTERN"))
            {
                ExpectSymbol("(");
                match.Pattern = ParseChoice();
                ExpectSymbol(")");
            }
            else if (Accept("DEFINE"))
            {
                do
                {
                    var name = ExpectName("a pattern variable");
                    Expect("AS");
                    match.Definitions.Add((name, ParseExpression()));
                }
                while (AcceptSymbol(","));
            }
            else
            {
                finished = true;
            }
        }

        if (!Current.IsSymbol(")"))
            throw Unexpected("LIMIT, PARTITION BY, MEASURES, AFTER MATCH, PATTERN, DEFINE or )");
        index++;
        if (Accept("AS"))
            match.Alias = ExpectName("an alias");
        else if (IsName(Current))
            match.Alias = ExpectName("an alias");
        return match;
    }

    private Pattern ParseChoice()
    {
        Deeper();
        var choices = new List<Pattern> { ParseSequence() };
        while (AcceptSymbol("|"))
            choices.Add(ParseSequence());
        depth--;
        return choices.Count == 1 ? choices[0] : new ChoicePattern(choices);
    }

    private Pattern ParseSequence()
    {
        var items = new List<Pattern>();
        while (Current.IsSymbol("(") || IsName(Current))
        {
            Pattern item;
            if (AcceptSymbol("("))
            {
                item = ParseChoice();
                ExpectSymbol(")");
            }
            else
            {
                item = new VariablePattern(ExpectName("a pattern variable").Name);
            }

            if (AcceptSymbol("*"))
                item = new RepeatPattern(item, 0, many: true);
            else if (AcceptSymbol("+"))
                item = new RepeatPattern(item, 1, many: true);
            else if (AcceptSymbol("?"))
                item = new RepeatPattern(item, 0, many: false);
            items.Add(item);
        }

        if (items.Count == 0)
            throw Unexpected("a pattern variable");
        return items.Count == 1 ? items[0] : new SequencePattern(items);
    }

    private void Deeper()
    {
        if (++depth > HeightMax / 2)
            throw new SyntaxException(Current.Position, $"found {Current.Shown} nested too deeply");
    }

    private T Bounded<T>(T expression)
        where T : Expr
    {
        if (expression.Height > HeightMax)
            throw new SyntaxException(expression.Position, "the expression is too complex: split it with a WITH step");
        return expression;
    }

    private Expr ParseExpression()
    {
        Deeper();
        var result = ParseOr();
        depth--;
        return result;
    }

    private Expr ParseOr()
    {
        var first = ParseAnd();
        if (!Current.Is("OR"))
            return first;
        var operands = new List<Expr> { first };
        while (Accept("OR"))
            operands.Add(ParseAnd());
        return Bounded(new LogicExpr(false, operands) { Height = operands.Max(o => o.Height) + 1 });
    }

    private Expr ParseAnd()
    {
        var first = ParseNot();
        if (!Current.Is("AND"))
            return first;
        var operands = new List<Expr> { first };
        while (Accept("AND"))
            operands.Add(ParseNot());
        return Bounded(new LogicExpr(true, operands) { Height = operands.Max(o => o.Height) + 1 });
    }

    private Expr ParseNot()
    {
        if (!Current.Is("NOT"))
            return ParseComparison();
        var position = Current.Position;
        index++;
        Deeper();
        var operand = ParseNot();
        depth--;
        return Bounded(new UnaryExpr(position, "NOT", operand) { Height = operand.Height + 1 });
    }

    private Expr ParseComparison()
    {
        var left = ParseSum();
        while (true)
        {
            var negated = Current.Is("NOT") && (Peek().Is("IN") || Peek().Is("LIKE") || Peek().Is("BETWEEN"));
            if (negated)
                index++;
            if (Current.Kind == TokenKind.Symbol && Current.Text is "=" or "<>" or "<" or "<=" or ">" or ">=")
            {
                var symbol = Current.Text;
                index++;
                var right = ParseSum();
                left = Bounded(new BinaryExpr(symbol, left, right) { Height = Math.Max(left.Height, right.Height) + 1 });
            }
            else if (Accept("IS"))
            {
                var not = Accept("NOT");
                Expect("NULL");
                left = Bounded(new IsNullExpr(left, not) { Height = left.Height + 1 });
            }
            else if (Accept("BETWEEN"))
            {
                var low = ParseSum();
                Expect("AND");
                var high = ParseSum();
                left = Bounded(new BetweenExpr(left, low, high, negated)
                {
                    Height = Math.Max(left.Height, Math.Max(low.Height, high.Height)) + 1,
                });
            }
            else if (Accept("LIKE"))
            {
                var pattern = ParseSum();
                var escape = Accept("ESCAPE") ? ParseSum() : null;
                left = Bounded(new LikeExpr(left, pattern, escape, negated) { Height = Math.Max(left.Height, pattern.Height) + 1 });
            }
            else if (Accept("IN"))
            {
                ExpectSymbol("(");
                var items = new List<Expr>();
                do
                    items.Add(ParseExpression());
                while (AcceptSymbol(","));
                ExpectSymbol(")");
                left = Bounded(new InExpr(left, items, negated) { Height = Math.Max(left.Height, items.Max(i => i.Height)) + 1 });
            }
            else
            {
                return left;
            }
        }
    }

    private Expr ParseSum()
    {
        var left = ParseProduct();
        while (Current.IsSymbol("+") || Current.IsSymbol("-"))
        {
            var symbol = Current.Text;
            index++;
            var right = ParseProduct();
            left = Bounded(new BinaryExpr(symbol, left, right) { Height = Math.Max(left.Height, right.Height) + 1 });
        }

        return left;
    }

    private Expr ParseProduct()
    {
        var left = ParseUnary();
        while (Current.IsSymbol("*") || Current.IsSymbol("/") || Current.IsSymbol("%"))
        {
            var symbol = Current.Text;
            index++;
            var right = ParseUnary();
            left = Bounded(new BinaryExpr(symbol, left, right) { Height = Math.Max(left.Height, right.Height) + 1 });
        }

        return left;
    }

    private Expr ParseUnary()
    {
        if (!Current.IsSymbol("-") && !Current.IsSymbol("+"))
            return ParsePrimary();
        var position = Current.Position;
        var symbol = Current.Text;
        index++;
        if (symbol == "-" && Current.Kind == TokenKind.Float && Current.Text == "9223372036854775808")
        {
            // The one bigint whose digits alone do not fit.
            index++;
            return new LiteralExpr(position, Value.Of(long.MinValue), "-9223372036854775808");
        }

        Deeper();
        var operand = ParseUnary();
        depth--;
        return symbol == "+" ? operand : Bounded(new UnaryExpr(position, "-", operand) { Height = operand.Height + 1 });
    }

    private Expr ParsePrimary()
    {
        var token = Current;
        Expr result;
        switch (token.Kind)
        {
            case TokenKind.Text:
                index++;
                result = new LiteralExpr(token.Position, Value.Of(token.Text), token.Text);
                break;
            case TokenKind.Whole:
                index++;
                return new LiteralExpr(token.Position, Value.Of(long.Parse(token.Text, CultureInfo.InvariantCulture)), token.Text);
            case TokenKind.Float:
                index++;
                return new LiteralExpr(token.Position, Value.Of(double.Parse(token.Text, CultureInfo.InvariantCulture)), token.Text);
            case TokenKind.Symbol when token.Text == "(":
                index++;
                if (Current.Is("SELECT"))
                    throw new SyntaxException(Current.Position, "found 'SELECT' where an expression was expected (sub-queries are not supported in expressions)");
                result = ParseExpression();
                ExpectSymbol(")");
                break;
            case TokenKind.Word when token.Is("NULL"):
                index++;
                return new LiteralExpr(token.Position, Value.Null, "NULL");
            case TokenKind.Word when token.Is("CASE"):
                result = ParseCase();
                break;
            case TokenKind.Word when (token.Is("LEFT") || token.Is("RIGHT")) && Peek().IsSymbol("("):
                index++;
                result = ParseCall(token.Position, token.Text);
                break;
            case TokenKind.Word when (token.Is("CAST") || token.Is("TRY_CAST")) && Peek().IsSymbol("("):
                result = ParseCast();
                break;
            case TokenKind.Quoted:
            case TokenKind.Word when !Lexer.IsReserved(token.Text):
                result = ParsePathOrCall();
                break;
            default:
                throw Unexpected("an expression");
        }

        while (AcceptSymbol("."))
            result = Bounded(new MemberExpr(result, ExpectName("a field name")) { Height = result.Height + 1 });
        return result;
    }

    private Expr ParseCase()
    {
        var position = Current.Position;
        Expect("CASE");
        var operand = Current.Is("WHEN") ? null : ParseExpression();
        var branches = new List<(Expr, Expr)>();
        var height = operand?.Height ?? 0;
        while (Accept("WHEN"))
        {
            var when = ParseExpression();
            Expect("THEN");
            var then = ParseExpression();
            branches.Add((when, then));
            height = Math.Max(height, Math.Max(when.Height, then.Height));
        }

        if (branches.Count == 0)
            throw Unexpected("WHEN");
        var otherwise = Accept("ELSE") ? ParseExpression() : null;
        Expect("END");
        return Bounded(new CaseExpr(position, operand, branches, otherwise) { Height = Math.Max(height, otherwise?.Height ?? 0) + 1 });
    }

    private Expr ParseCast()
    {
        var token = Current;
        index++;
        ExpectSymbol("(");
        var operand = ParseExpression();
        Expect("AS");
        var (type, text) = ParseType();
        ExpectSymbol(")");
        return Bounded(new CastExpr(token.Position, token.Text, operand, type, text) { Height = operand.Height + 1 });
    }

    private (SqlTypeName Type, string Text) ParseType()
    {
        var token = Current;
        if (token.Kind is not (TokenKind.Word or TokenKind.Quoted))
            throw Unexpected("a type");
        SqlTypeName type;
        switch (token.Text.ToUpperInvariant())
        {
            case "BIGINT": type = SqlTypeName.Bigint; break;
            case "FLOAT": type = SqlTypeName.Float; break;
            case "NVARCHAR": type = SqlTypeName.Text; break;
            case "DATETIME": type = SqlTypeName.Datetime; break;
            case "BIT": type = SqlTypeName.Bit; break;
            case "RECORD": type = SqlTypeName.Record; break;
            case "ARRAY": type = SqlTypeName.Array; break;
            default: throw new SyntaxException(token.Position, $"unknown type '{token.Text}' (bigint, float, nvarchar(max), datetime, bit, record, array)");
        }

        index++;
        if (type == SqlTypeName.Text && AcceptSymbol("("))
        {
            if (!Accept("max") && Current.Kind != TokenKind.Whole)
                throw Unexpected("max");
            if (Current.Kind == TokenKind.Whole)
                index++;
            ExpectSymbol(")");
        }

        return (type, token.Text);
    }

    private Expr ParsePathOrCall()
    {
        var parts = new List<PathPart> { new(Current.Text, Current.Position) };
        index++;
        while (Current.IsSymbol(".") && parts.Count < HeightMax)
        {
            index++;
            var isTimestamp = Current.Is("TIMESTAMP") && parts.Count == 1 && parts[0].Name.Equals("System", StringComparison.OrdinalIgnoreCase);
            if (isTimestamp)
            {
                parts.Add(new PathPart(Current.Text, Current.Position));
                index++;
            }
            else
            {
                parts.Add(ExpectName("a field name"));
            }
        }

        if (Current.IsSymbol("("))
            return ParseCall(parts[0].Position, string.Join('.', parts.Select(p => p.Name)));
        if (parts.Count == 2 && parts[0].Name.Equals("System", StringComparison.OrdinalIgnoreCase)
            && parts[1].Name.Equals("Timestamp", StringComparison.OrdinalIgnoreCase))
            return new CallExpr(parts[0].Position, string.Join('.', parts.Select(p => p.Name)));
        return new PathExpr([.. parts]);
    }

    private CallExpr ParseCall(int position, string name)
    {
        ExpectSymbol("(");
        Deeper();
        var arguments = new List<Expr>();
        var star = false;
        var starPosition = 0;
        var distinct = Accept("DISTINCT");
        if (!Current.IsSymbol(")"))
        {
            do
            {
                if (Current.IsSymbol("*") && !star && arguments.Count == 0)
                {
                    star = true;
                    starPosition = Current.Position;
                    index++;
                }
                else
                {
                    arguments.Add(ParseExpression());
                }
            }
            while (AcceptSymbol(","));
        }

        ExpectSymbol(")");
        depth--;
        var call = new CallExpr(position, name)
        {
            Arguments = arguments,
            HasStar = star,
            StarPosition = starPosition,
            IsDistinct = distinct,
            Height = arguments.Count == 0 ? 1 : arguments.Max(a => a.Height) + 1,
        };
        if (Current.Is("OVER") && Peek().IsSymbol("("))
            call.Over = ParseOver();
        return Bounded(call);
    }

    private OverClause ParseOver()
    {
        var over = new OverClause(Current.Position);
        Expect("OVER");
        ExpectSymbol("(");
        while (!Current.IsSymbol(")"))
        {
            if (Accept("PARTITION"))
            {
                Expect("BY");
                do
                    over.PartitionBy.Add(ParseExpression());
                while (AcceptSymbol(","));
            }
            else if (Accept("ORDER"))
            {
                Expect("BY");
                do
                {
                    var key = ParseExpression();
                    var descending = Accept("DESC");
                    if (!descending)
                        Accept("ASC");
                    over.OrderBy.Add((key, descending));
                }
                while (AcceptSymbol(","));
            }
            else if (Current.Is("LIMIT"))
            {
                over.Limit = ParseLimit();
            }
            else if (Accept("WHEN"))
            {
                over.When = ParseExpression();
            }
            else
            {
                throw Unexpected("PARTITION BY, ORDER BY, LIMIT DURATION, WHEN or )");
            }
        }

        index++;
        return over;
    }

    private CallExpr ParseLimit()
    {
        Expect("LIMIT");
        var position = Current.Position;
        Expect("DURATION");
        return ParseCall(position, "DURATION");
    }
}
