using System.Text;
using Millrace.StreamSql.Aggregates;
using Millrace.StreamSql.Expressions;
using Millrace.StreamSql.Functions;
using Millrace.StreamSql.Operators;
using Millrace.StreamSql.Syntax;
using Millrace.StreamSql.Values;

namespace Millrace.StreamSql.Binding;

/// <summary>Turns expressions of the syntax tree into compiled nodes; notes every error and goes on.</summary>
internal sealed class ExpressionBinder(FunctionRegistry? functions, List<(int Position, string Message)> errors)
{
    public const long SizeMax = 7 * TimeSpan.TicksPerDay;

    private static readonly HashSet<string> AggregateNames = new(StringComparer.OrdinalIgnoreCase)
    {
        "COUNT", "COUNT_BIG", "SUM", "AVG", "MIN", "MAX", "STDEV", "STDEVP", "VAR", "VARP", "COLLECT", "TOPONE", "COLLECTTOP",
        "PERCENTILE_CONT", "PERCENTILE_DISC", "STRING_AGG", "APPROX_COUNT_DISTINCT",
    };

    private static readonly HashSet<string> WindowNames = new(StringComparer.OrdinalIgnoreCase)
    {
        "TUMBLINGWINDOW", "TUMBLING", "HOPPINGWINDOW", "HOPPING", "SLIDINGWINDOW", "SLIDING", "SESSIONWINDOW", "SESSION", "WINDOWS",
    };

    public static bool IsAggregate(CallExpr call) => AggregateNames.Contains(call.Name);

    /// <summary>An aggregate over recent rows: it has LIMIT DURATION, or an OVER that can only mean that.</summary>
    public static bool IsMoving(CallExpr call)
        => IsAggregate(call) && call.Over is { } over && (over.Limit is not null || over.OrderBy.Count == 0);

    public static bool IsAnalytic(CallExpr call)
        => call.Is("LAG") || call.Is("LAST") || call.Is("ISFIRST") || IsMoving(call)
            || call.Is("AnomalyDetection_SpikeAndDip") || call.Is("AnomalyDetection_ChangePoint");

    public static bool IsWindow(Expr expression) => expression is CallExpr call && WindowNames.Contains(call.Name);

    public static bool IsTimestamp(Expr expression) => expression is CallExpr call && call.Is("System.Timestamp");

    public Node Error(int position, string message)
    {
        if (!errors.Contains((position, message)))
            errors.Add((position, message));
        return ConstantNode.Null;
    }

    public Node Bind(Expr expression, Place place)
    {
        if (place.Group is { } group && KeyOf(expression, group, place) is { } key)
            return key;
        return expression switch
        {
            LiteralExpr literal => new ConstantNode(literal.Value),
            PathExpr path => place.Group is null ? BindPath(path, place) : BindGroupedPath(path, place),
            MemberExpr member => BindMember(member, place),
            UnaryExpr { Symbol: "NOT" } not => new NotNode(Bind(not.Operand, place)),
            UnaryExpr minus => BindMinus(minus, place),
            BinaryExpr binary => BindBinary(binary, place),
            LogicExpr logic => logic.IsAnd
                ? new AndNode([.. logic.Operands.Select(o => Bind(o, place))])
                : new OrNode([.. logic.Operands.Select(o => Bind(o, place))]),
            IsNullExpr isNull => new IsNullNode(Bind(isNull.Operand, place), isNull.Negated),
            BetweenExpr between => new BetweenNode(
                Bind(between.Operand, place), Bind(between.Low, place), Bind(between.High, place), between.Negated),
            InExpr oneOf => new InNode(Bind(oneOf.Operand, place), [.. oneOf.Items.Select(i => Bind(i, place))], oneOf.Negated),
            LikeExpr like => BindLike(like, place),
            CaseExpr choice => BindCase(choice, place),
            CastExpr cast => new CastNode(Bind(cast.Operand, place), cast.Type, cast.TypeText, cast.OrNull),
            CallExpr call => BindCall(call, place),
            _ => throw new InvalidOperationException(expression.GetType().Name),
        };
    }

    private static Node? KeyOf(Expr expression, GroupScope group, Place place)
    {
        var index = KeyIndex(expression, group, place);
        return index < 0 ? null : new ColumnNode(0, index);
    }

    /// <summary>−1: no key. System.Timestamp() is the window's end even where it is also a key.</summary>
    private static int KeyIndex(Expr expression, GroupScope group, Place place)
        => expression is LiteralExpr || IsTimestamp(expression) ? -1 : group.KeyTexts.IndexOf(ExprText.Of(expression, place.Scope.OnlyAlias));

    /// <summary>
    /// Binds what is asked for its type. 1 and 1.0 are one key, which reads back as bigint: where that makes a difference the
    /// first row's value of the key is kept as MIN keeps it.
    /// </summary>
    private Node BindTyped(Expr expression, Place place)
    {
        if (place.Group is not { } group || KeyIndex(expression, group, place) is not (>= 0 and var key))
            return Bind(expression, place);
        var text = $"value of key {key}";
        if (!group.ByText.TryGetValue(text, out var index))
        {
            group.Aggregates.Add(new ExtremeAggregate(largest: false) { Arguments = [new ReadNode(group.KeyNodes[key])] });
            index = group.Aggregates.Count - 1;
            group.ByText.Add(text, index);
        }

        return new ColumnNode(0, group.IdColumn + 1 + index);
    }

    private Node BindGroupedPath(PathExpr path, Place place)
    {
        var group = place.Group!;

        // A key that is a record can be walked.
        for (var length = path.Parts.Length - 1; length >= 1; length--)
        {
            var index = group.KeyTexts.IndexOf(ExprText.Of(new PathExpr(path.Parts[..length]), place.Scope.OnlyAlias));
            if (index >= 0)
                return Walk(new ColumnNode(0, index), path.Parts.AsSpan(length));
        }

        if (path.Parts.Length == 1 && place.Aliases is { } aliases && aliases.TryGetValue(path.Parts[0].Name, out var aliased))
            return Bind(aliased, place with { Aliases = null });
        var name = string.Join('.', path.Parts.Select(p => p.Name));
        return Error(path.Position, $"the column {name} is neither in GROUP BY nor inside an aggregate");
    }

    private static Node Walk(Node node, ReadOnlySpan<PathPart> parts)
    {
        foreach (var part in parts)
            node = new FieldNode(node, Encoding.UTF8.GetBytes(part.Name));
        return node;
    }

    private Node BindPath(PathExpr path, Place place)
    {
        var scope = place.Scope;
        if (path.Parts.Length > 1 && scope.Find(path.Parts[0].Name) is { } source)
            return source.Relation.Path(source.Index, path.Parts.AsSpan(1));

        if (place.Match is not null)
            return scope.Sources[0].Relation.Path(scope.Sources[0].Index, path.Parts);      // the current row

        Node? otherwise = null;
        if (path.Parts.Length == 1 && place.Aliases is { } aliases && aliases.TryGetValue(path.Parts[0].Name, out var aliased)
            && !ContainsAggregate(aliased))
            otherwise = Bind(aliased, place with { Aliases = null });
        return Search(path.Parts, scope, 0, otherwise);
    }

    /// <summary>The first source that has the field, else the alias, else NULL.</summary>
    private static Node Search(PathPart[] parts, Scope scope, int from, Node? otherwise)
    {
        for (var index = from; index < scope.Sources.Count; index++)
        {
            var source = scope.Sources[index];
            var presence = source.Relation.Has(parts[0].Name);
            if (presence == Presence.No)
                continue;
            var value = source.Relation.Path(source.Index, parts);
            var isLast = true;
            for (var later = index + 1; later < scope.Sources.Count; later++)
                isLast &= scope.Sources[later].Relation.Has(parts[0].Name) == Presence.No;
            if (presence == Presence.Yes || (isLast && otherwise is null))
                return value;
            var present = parts.Length == 1 ? value : source.Relation.Path(source.Index, parts.AsSpan(0, 1));
            var next = Search(parts, scope, index + 1, otherwise);
            return new FirstPresentNode(present, value, next);
        }

        return otherwise ?? ConstantNode.Null;
    }

    private Node BindMember(MemberExpr member, Place place)
    {
        if (member.Target is CallExpr call && call.Is("System.Window"))
        {
            if (!member.Member.Name.Equals("Id", StringComparison.OrdinalIgnoreCase))
                return Error(member.Member.Position, $"System.Window() has no field {member.Member.Name}, only Id");
            return place.Group is { } group
                ? new ColumnNode(0, group.IdColumn)
                : Error(call.Position, "System.Window() needs GROUP BY with a window");
        }

        return new FieldNode(Bind(member.Target, place), Encoding.UTF8.GetBytes(member.Member.Name));
    }

    private Node BindMinus(UnaryExpr minus, Place place)
    {
        if (minus.Operand is LiteralExpr { Value.Kind: Kind.Bigint } whole)
            return new ConstantNode(Value.Of(-whole.Value.Bits));
        if (minus.Operand is LiteralExpr { Value.Kind: Kind.Float } number)
            return new ConstantNode(Value.Of(-number.Value.Double));
        return new NegateNode(Bind(minus.Operand, place));
    }

    private Node BindBinary(BinaryExpr binary, Place place)
    {
        var divides = binary.Symbol == "/";
        var left = divides ? BindTyped(binary.Left, place) : Bind(binary.Left, place);
        var right = divides ? BindTyped(binary.Right, place) : Bind(binary.Right, place);
        Arithmetic? arithmetic = binary.Symbol switch
        {
            "+" => Arithmetic.Add,
            "-" => Arithmetic.Subtract,
            "*" => Arithmetic.Multiply,
            "/" => Arithmetic.Divide,
            "%" => Arithmetic.Modulo,
            _ => null,
        };
        if (arithmetic is { } operation)
            return new ArithmeticNode(operation, left, right);
        var relation = binary.Symbol switch
        {
            "=" => CompareOperator.Equal,
            "<>" => CompareOperator.NotEqual,
            "<" => CompareOperator.Less,
            "<=" => CompareOperator.LessOrEqual,
            ">" => CompareOperator.Greater,
            _ => CompareOperator.GreaterOrEqual,
        };
        if (left is ConstantNode && right is not ConstantNode)
        {
            (left, right) = (right, left);
            relation = relation switch
            {
                CompareOperator.Less => CompareOperator.Greater,
                CompareOperator.LessOrEqual => CompareOperator.GreaterOrEqual,
                CompareOperator.Greater => CompareOperator.Less,
                CompareOperator.GreaterOrEqual => CompareOperator.LessOrEqual,
                _ => relation,
            };
        }

        return right switch
        {
            ConstantNode { Value.Kind: Kind.Bigint or Kind.Float } number => new CompareWithNumberNode(relation, left, number.Value),
            ConstantNode { Value.Kind: Kind.Text } text => new CompareWithTextNode(relation, left, text.Value),
            _ => new CompareNode(relation, left, right),
        };
    }

    private LikeNode BindLike(LikeExpr like, Place place)
    {
        if (like.Escape is LiteralExpr { Value.Kind: Kind.Text } escape && Characters.Count(escape.Value.Span) != 1)
            Error(escape.Position, "ESCAPE needs one character");
        return new LikeNode(
            Bind(like.Operand, place), Bind(like.Pattern, place), like.Escape is null ? null : Bind(like.Escape, place), like.Negated);
    }

    private Node BindCase(CaseExpr choice, Place place)
    {
        var branches = choice.Branches.Select(b => (Bind(b.When, place), Bind(b.Then, place))).ToArray();
        var otherwise = choice.Otherwise is null ? null : Bind(choice.Otherwise, place);
        return choice.Operand is null
            ? new CaseNode(branches, otherwise)
            : new SimpleCaseNode(Bind(choice.Operand, place), branches, otherwise);
    }

    private Node BindCall(CallExpr call, Place place)
    {
        if (IsTimestamp(call))
        {
            if (place.IsTimestampBy)
                return Error(call.Position, $"{call.Name} is not allowed in TIMESTAMP BY");
            CheckCount(call, 0, 0);
            return new TimestampNode();
        }

        if (place.Match is { } match && BindMatchFunction(call, match, place) is { } matched)
            return matched;
        if (call.Is("System.Window"))
            return Error(call.Position, "System.Window() is used as System.Window().Id");
        if (IsAnalytic(call))
            return BindAnalytic(call, place);
        if (IsAggregate(call))
            return BindAggregateCall(call, place);
        if (IsWindow(call))
            return Error(call.Position, $"the window {call.Name} stands in GROUP BY only");
        if (call.Is("GetArrayElements") || call.Is("GetRecordProperties"))
            return Error(call.Position, $"{call.Name} is used with CROSS APPLY or OUTER APPLY");
        if (call.Over is { } over)
            return Error(over.Position, $"{call.Name} takes no OVER");
        if (call.IsDistinct)
            return Error(call.Position, $"{call.Name} takes no DISTINCT");
        if (call.HasStar)
            return Error(call.StarPosition, $"found '*' where an argument of {call.Name} was expected");
        if (call.Is("COALESCE") || call.Is("ISNULL") || call.Is("NULLIF"))
            return BindNullFunction(call, place);
        if (call.Is("GetMetadataPropertyValue"))
            return BindMetadata(call, place);
        if (call.Name.StartsWith("udf.", StringComparison.OrdinalIgnoreCase))
            return BindUserFunction(call, place);
        if (place.IsOn && call.Is("DATEDIFF") && TryBindElapsed(call, place) is { } elapsed)
            return elapsed;
        if (!ScalarFunctions.TryGet(call.Name, out var function))
            return Error(call.Position, $"unknown function {call.Name}");
        if (!CheckCount(call, function.Least, function.Most))
            return ConstantNode.Null;
        return new FunctionNode(function.Body, BindArguments(call, function, place), function.NullsPassed);
    }

    private Node? BindMatchFunction(CallExpr call, MatchScope match, Place place)
    {
        if (call.Is("Classifier"))
        {
            CheckCount(call, 0, 0);
            return new ClassifierNode(match.Assignment);
        }

        MatchFunction function;
        switch (call.Name.ToUpperInvariant())
        {
            case "FIRST": function = MatchFunction.First; break;
            case "LAST": function = MatchFunction.Last; break;
            case "MIN": function = MatchFunction.Min; break;
            case "MAX": function = MatchFunction.Max; break;
            default: return null;
        }

        if (!CheckCount(call, 1, 1))
            return ConstantNode.Null;
        var path = PathIn(call.Arguments[0]);
        var variable = path is null ? -1 : Array.FindIndex(match.Variables, v => v.Equals(path.Parts[0].Name, StringComparison.OrdinalIgnoreCase));
        return variable < 0 || path!.Parts.Length < 2
            ? Error(call.Arguments[0].Position, $"{call.Name} in MATCH_RECOGNIZE takes a field of a variable, such as {match.Variables[0]}.value")
            : new MatchFunctionNode(match.Assignment, variable, function, Bind(call.Arguments[0], place));
    }

    private static PathExpr? PathIn(Expr expression) => expression switch
    {
        PathExpr path => path,
        CastExpr cast => PathIn(cast.Operand),
        CallExpr { Arguments.Count: > 0 } call => call.Arguments.Select(PathIn).FirstOrDefault(p => p is not null),
        BinaryExpr binary => PathIn(binary.Left) ?? PathIn(binary.Right),
        UnaryExpr unary => PathIn(unary.Operand),
        MemberExpr member => PathIn(member.Target),
        _ => null,
    };

    private Node[] BindArguments(CallExpr call, ScalarFunction function, Place place)
    {
        var arguments = new Node[call.Arguments.Count];
        for (var index = 0; index < arguments.Length; index++)
        {
            arguments[index] = index == 0 && function.FirstIsPart
                ? BindPart(call.Arguments[0])
                : call.Is("GetType") ? BindTyped(call.Arguments[index], place) : Bind(call.Arguments[index], place);
        }

        return arguments;
    }

    private Node BindPart(Expr expression)
    {
        if (expression is PathExpr { Parts.Length: 1 } path && DateFunctions.TryGetPart(path.Parts[0].Name, out var part))
            return new ConstantNode(Value.Of((long)part));
        var text = expression is PathExpr unknown ? unknown.Parts[0].Name : "this";
        return Error(expression.Position, $"unknown date part {text}");
    }

    private bool CheckCount(CallExpr call, int least, int most)
    {
        var count = call.Arguments.Count;
        if (count >= least && count <= most)
            return true;
        var wanted = least == most ? $"{least}" : most == int.MaxValue ? $"at least {least}" : $"{least} to {most}";
        Error(call.Position, $"{call.Name} takes {wanted} argument{(least == most && least == 1 ? "" : "s")}, found {count}");
        return false;
    }

    private Node BindNullFunction(CallExpr call, Place place)
    {
        var coalesce = call.Is("COALESCE");
        if (!CheckCount(call, coalesce ? 1 : 2, coalesce ? int.MaxValue : 2))
            return ConstantNode.Null;
        var arguments = call.Arguments.Select(a => Bind(a, place)).ToArray();
        return call.Is("NULLIF") ? new NullIfNode(arguments[0], arguments[1]) : new CoalesceNode(arguments);
    }

    /// <summary>A property of an event is also a path: GetMetadataPropertyValue(m, '[IoTHub].[ConnectionDeviceId]') is m.IoTHub.ConnectionDeviceId.</summary>
    private Node BindMetadata(CallExpr call, Place place)
    {
        if (call.Arguments is not [PathExpr { Parts: [var alias] }, LiteralExpr { Value.Kind: Kind.Text } property]
            || place.Scope.Find(alias.Name) is not { } source)
            return Error(call.Position, $"{call.Name} takes a source and a property in quotes");
        var names = property.Text.Replace("[", "", StringComparison.Ordinal).Replace("]", "", StringComparison.Ordinal).Split('.');
        return Bind(new PathExpr([new PathPart(source.Alias, call.Position), .. names.Select(n => new PathPart(n, property.Position))]), place);
    }

    private Node BindUserFunction(CallExpr call, Place place)
    {
        if (functions is null || !functions.TryGet(call.Name[4..], out var function))
            return Error(call.Position, $"unknown function {call.Name}: the host has registered none of this name");
        if (!CheckCount(call, function.Least, function.Most))
            return ConstantNode.Null;
        var body = function.Body;
        return new FunctionNode(
            (Frame frame, ReadOnlySpan<Value> arguments, out Value result) =>
            {
                var values = new SqlValue[arguments.Length];
                for (var index = 0; index < values.Length; index++)
                    values[index] = new SqlValue(arguments[index]);
                try
                {
                    result = body(values).Inner;
                }
                catch (Exception failure) when (failure is not OutOfMemoryException)
                {
                    // The host's function is foreign code: whatever it throws makes this event a bad one, nothing more.
                    frame.Fail($"{call.Name} failed: {failure.Message}");
                    result = Value.Null;
                }
            },
            [.. call.Arguments.Select(a => Bind(a, place))],
            nullsPassed: true);
    }

    /// <summary>DATEDIFF(unit, a, b) of two sources in ON: elapsed time as an exact fraction.</summary>
    private Node? TryBindElapsed(CallExpr call, Place place)
    {
        if (!TryElapsed(call, place.Scope, out var unit, out var from, out var to))
            return null;
        return new FunctionNode(
            (Frame frame, ReadOnlySpan<Value> arguments, out Value result)
                => result = Value.Of((arguments[1].Bits - arguments[0].Bits) / (double)unit),
            [new SourceTimeNode(from), new SourceTimeNode(to)],
            nullsPassed: false);
    }

    public bool TryElapsed(Expr expression, Scope scope, out long unit, out int from, out int to)
    {
        unit = 0;
        from = to = -1;
        if (expression is not CallExpr { Arguments.Count: 3 } call || !call.Is("DATEDIFF")
            || call.Arguments[1] is not PathExpr { Parts.Length: 1 } a || call.Arguments[2] is not PathExpr { Parts.Length: 1 } b
            || scope.Find(a.Parts[0].Name) is not { } first || scope.Find(b.Parts[0].Name) is not { } second
            || first.Relation is ReferenceRelation || second.Relation is ReferenceRelation)
            return false;
        if (!TryUnit(call.Arguments[0], out unit))
            return false;
        from = first.Index;
        to = second.Index;
        return true;
    }

    /// <summary>A unit of fixed length; notes the error.</summary>
    public bool TryUnit(Expr expression, out long ticks)
    {
        ticks = 0;
        if (expression is PathExpr { Parts.Length: 1 } path)
        {
            var name = path.Parts[0].Name;
            if (DateFunctions.TryGetPart(name, out var part) && DateFunctions.TryGetTicks(part, out ticks)
                && !name.Equals("dy", StringComparison.OrdinalIgnoreCase))
                return true;
            Error(path.Position, $"unknown time unit {name} (day, hour, minute, second, millisecond, microsecond)");
            return false;
        }

        Error(expression.Position, "a time unit was expected (day, hour, minute, second, millisecond, microsecond)");
        return false;
    }

    /// <summary>(unit, n) of LIMIT DURATION: positive and at most 7 days.</summary>
    public bool TryLimit(CallExpr limit, out long ticks)
    {
        ticks = 0;
        if (!CheckCount(limit, 2, 2) || !TryUnit(limit.Arguments[0], out var unit))
            return false;
        return TrySize(limit.Arguments[1], unit, limit, mayBeZero: false, out ticks);
    }

    public bool TrySize(Expr expression, long unit, CallExpr owner, bool mayBeZero, out long ticks)
    {
        ticks = 0;
        if (!TryWhole(expression, out var count))
        {
            Error(expression.Position, $"{owner.Name} needs a whole number here");
            return false;
        }

        if (count < 0 || (count == 0 && !mayBeZero))
        {
            Error(expression.Position, $"the size {count} of {owner.Name} must be positive");
            return false;
        }

        if ((Int128)count * unit > SizeMax)
        {
            Error(owner.Position, $"{owner.Name} is longer than 7 days");
            return false;
        }

        ticks = count * unit;
        return true;
    }

    public static bool TryWhole(Expr expression, out long value)
    {
        value = 0;
        switch (expression)
        {
            case LiteralExpr { Value.Kind: Kind.Bigint } literal:
                value = literal.Value.Bits;
                return true;
            case UnaryExpr { Symbol: "-", Operand: LiteralExpr { Value.Kind: Kind.Bigint } literal }:
                value = -literal.Value.Bits;
                return true;
            default:
                return false;
        }
    }

    private Node BindAnalytic(CallExpr call, Place place)
    {
        if (place.Group is not null)
            return Error(call.Position, $"{call.Name} in a grouped query stands inside an aggregate only");
        if (place.Analytics is not { } analytics)
            return Error(call.Position, $"{call.Name} {place.NoAnalytics}");
        var text = ExprText.Of(call, place.Scope.OnlyAlias);
        if (place.AnalyticTexts!.TryGetValue(text, out var known))
            return new ColumnNode(1, known);

        var before = errors.Count;
        var inner = place with { Analytics = null, NoAnalytics = $"cannot stand inside {call.Name}", Aliases = null, NoAggregates = "cannot stand inside an analytic function" };
        var plan = call.Is("ISFIRST") ? BindIsFirst(call, inner) : BindLimited(call, inner);
        if (plan is null || errors.Count > before)
            return ConstantNode.Null;
        analytics.Add(plan);
        place.AnalyticTexts.Add(text, analytics.Count - 1);
        return new ColumnNode(1, analytics.Count - 1);
    }

    private IsFirstPlan? BindIsFirst(CallExpr call, Place place)
    {
        if (!CheckCount(call, 2, 2) || !TryUnit(call.Arguments[0], out var unit)
            || !TrySize(call.Arguments[1], unit, call, mayBeZero: false, out var size))
            return null;
        return new IsFirstPlan
        {
            Limit = size,
            PartitionBy = BindAll(call.Over?.PartitionBy, place),
            When = call.Over?.When is { } when ? Bind(when, place) : null,
        };
    }

    private Node[] BindAll(List<Expr>? expressions, Place place)
        => expressions is null ? [] : [.. expressions.Select(e => Bind(e, place))];

    private AnalyticPlan? BindLimited(CallExpr call, Place place)
    {
        if (call.Over?.Limit is not { } limit)
        {
            Error(call.Position, $"{call.Name} needs OVER (… LIMIT DURATION(unit, n))");
            return null;
        }

        if (!TryLimit(limit, out var ticks))
            return null;
        var partitionBy = BindAll(call.Over.PartitionBy, place);
        var when = call.Over.When is { } condition ? Bind(condition, place) : null;
        if (IsAggregate(call))
        {
            var aggregate = BindAggregate(call, place);
            return aggregate is null
                ? null
                : new MovingPlan { Aggregate = new AggregateSet([aggregate]), Limit = ticks, PartitionBy = partitionBy, When = when };
        }

        if (call.Name.StartsWith("AnomalyDetection", StringComparison.OrdinalIgnoreCase))
            return BindAnomaly(call, place, ticks, partitionBy, when);

        var isLag = call.Is("LAG");
        var count = call.Arguments.Count + (call.HasStar ? 1 : 0);
        if (count < 1 || count > (isLag ? 3 : 2))
        {
            Error(call.Position, $"{call.Name} takes 1 to {(isLag ? 3 : 2)} arguments, found {count}");
            return null;
        }

        var first = call.HasStar ? 0 : 1;
        long offset = isLag ? 1 : 0;
        if (isLag && call.Arguments.Count > first)
        {
            var argument = call.Arguments[first];
            if (!TryWhole(argument, out offset) || offset < 1 || offset > 100_000)
            {
                Error(argument.Position, $"the offset of {call.Name} must be a whole number from 1 to 100000");
                return null;
            }
        }

        var standard = isLag ? first + 1 : first;
        return new LagPlan
        {
            Argument = call.HasStar ? WholeRow(place.Scope.Sources[0]) : Bind(call.Arguments[0], place),
            Offset = (int)offset,
            Default = call.Arguments.Count > standard ? Bind(call.Arguments[standard], place) : null,
            Limit = ticks,
            PartitionBy = partitionBy,
            When = when,
        };
    }

    private AnalyticPlan? BindAnomaly(CallExpr call, Place place, long ticks, Node[] partitionBy, Node? when)
    {
        var isSpike = call.Is("AnomalyDetection_SpikeAndDip");
        if (!CheckCount(call, isSpike ? 4 : 3, isSpike ? 4 : 3))
            return null;
        if (call.Arguments[1] is not LiteralExpr { Value.Kind: Kind.Bigint or Kind.Float } confidence || !TryPercent(confidence, out var percent))
        {
            Error(call.Arguments[1].Position, $"the confidence of {call.Name} is a number from 1 to 100");
            return null;
        }

        if (!TryWhole(call.Arguments[2], out var size) || size < 1 || size > 100_000)
        {
            Error(call.Arguments[2].Position, $"the history size of {call.Name} is a whole number from 1 to 100000");
            return null;
        }

        var mode = AnomalyMode.Both;
        if (isSpike)
        {
            var text = (call.Arguments[3] as LiteralExpr)?.Text ?? "";
            switch (text.ToUpperInvariant())
            {
                case "SPIKES": mode = AnomalyMode.Spikes; break;
                case "DIPS": mode = AnomalyMode.Dips; break;
                case "SPIKESANDDIPS": break;
                default:
                    Error(call.Arguments[3].Position, $"the mode of {call.Name} is 'spikes', 'dips' or 'spikesanddips'");
                    return null;
            }
        }
        else
        {
            mode = AnomalyMode.ChangePoint;
        }

        return new AnomalyPlan
        {
            Argument = new NumberNode(Bind(call.Arguments[0], place), call.Name),
            Confidence = percent,
            HistorySize = (int)size,
            Mode = mode,
            Limit = ticks,
            PartitionBy = partitionBy,
            When = when,
        };
    }

    private static bool TryPercent(LiteralExpr literal, out double percent)
    {
        percent = literal.Value.Kind == Kind.Bigint ? literal.Value.Bits : literal.Value.Double;
        return percent is >= 1 and <= 100;
    }

    public static Node WholeRow(ScopeSource source) => ResultShape.Record(source.Relation.Star(source.Index));

    private Node WholeInput(Scope scope)
    {
        if (scope.Sources.Count == 1)
            return WholeRow(scope.Sources[0]);

        // With APPLY or joins the whole input row is what * stands for: the first source's fields, the others under their alias.
        var columns = scope.Sources[0].Relation.Star(0);
        foreach (var source in scope.Sources.Skip(1))
            columns.Add(new ResultColumn(source.Alias, WholeRow(source)));
        return ResultShape.Record(columns);
    }

    private Node BindAggregateCall(CallExpr call, Place place)
    {
        if (place.Group is not { } group)
            return Error(call.Position, $"{call.Name} {place.NoAggregates}");
        var text = ExprText.Of(call, place.Scope.OnlyAlias);
        if (!group.ByText.TryGetValue(text, out var index))
        {
            var inner = place with { Group = null, Aliases = null, NoAggregates = "cannot stand inside another aggregate" };
            var aggregate = BindAggregate(call, inner);
            if (aggregate is null)
                return ConstantNode.Null;
            group.Aggregates.Add(aggregate);
            index = group.Aggregates.Count - 1;
            group.ByText.Add(text, index);
        }

        return new ColumnNode(0, group.IdColumn + 1 + index);
    }

    private Aggregate? BindAggregate(CallExpr call, Place place)
    {
        var name = call.Name.ToUpperInvariant();
        if (call.HasStar && name is not ("COUNT" or "COUNT_BIG" or "COLLECT"))
        {
            Error(call.StarPosition, $"found '*' where an argument of {call.Name} was expected");
            return null;
        }

        switch (name)
        {
            case "COUNT" or "COUNT_BIG" when call.HasStar:
                return CheckCount(call, 0, 0) ? new CountAggregate { Arguments = [] } : null;
            case "COUNT" or "COUNT_BIG" or "SUM" or "AVG" or "MIN" or "MAX" or "STDEV" or "STDEVP" or "VAR" or "VARP" or "APPROX_COUNT_DISTINCT":
                return CheckCount(call, 1, 1) ? BindSimple(call, name, place) : null;
            case "COLLECT":
                if (!CheckCount(call, 0, call.HasStar ? 0 : 1))
                    return null;
                return new CollectAggregate { Arguments = [call.Arguments.Count == 0 ? WholeInput(place.Scope) : Bind(call.Arguments[0], place)] };
            case "STRING_AGG":
                return CheckCount(call, 2, 2)
                    ? new StringAggregate { Arguments = [Bind(call.Arguments[0], place), Bind(call.Arguments[1], place)] }
                    : null;
            case "TOPONE" or "COLLECTTOP":
                return BindRanking(call, place, name == "COLLECTTOP");
            default:
                return BindPercentile(call, place, name == "PERCENTILE_CONT");
        }
    }

    private Aggregate BindSimple(CallExpr call, string name, Place place)
    {
        var bound = Bind(call.Arguments[0], place);
        Node argument = name switch
        {
            "COUNT" or "COUNT_BIG" or "APPROX_COUNT_DISTINCT" => bound,
            "MIN" or "MAX" => new ReadNode(bound),
            _ => new NumberNode(bound, call.Name),
        };
        Node[] arguments = [argument];
        Aggregate aggregate = name switch
        {
            "COUNT" or "COUNT_BIG" => new CountAggregate { Arguments = arguments },
            "SUM" => new SumAggregate(SumResult.Sum) { Arguments = arguments },
            "AVG" => new SumAggregate(SumResult.Average) { Arguments = arguments },
            "MIN" => new ExtremeAggregate(largest: false) { Arguments = arguments },
            "MAX" => new ExtremeAggregate(largest: true) { Arguments = arguments },
            "STDEV" => new VarianceAggregate(population: false, root: true) { Arguments = arguments },
            "STDEVP" => new VarianceAggregate(population: true, root: true) { Arguments = arguments },
            "VAR" => new VarianceAggregate(population: false, root: false) { Arguments = arguments },
            "VARP" => new VarianceAggregate(population: true, root: false) { Arguments = arguments },
            _ => new ApproximateCountAggregate { Arguments = arguments },
        };
        return call.IsDistinct ? new DistinctAggregate(aggregate) { Arguments = arguments } : aggregate;
    }

    private Aggregate? BindRanking(CallExpr call, Place place, bool asArray)
    {
        if (!CheckCount(call, asArray ? 1 : 0, asArray ? 2 : 1))
            return null;
        if (call.Over is not { OrderBy.Count: > 0 } over)
        {
            Error(call.Position, $"{call.Name} needs OVER (ORDER BY …)");
            return null;
        }

        long limit = 1;
        if (asArray && (!TryWhole(call.Arguments[0], out limit) || limit < 1))
        {
            Error(call.Arguments[0].Position, $"{call.Name} needs a whole number of at least 1 here");
            return null;
        }

        var value = call.Arguments.Count == (asArray ? 2 : 1) ? Bind(call.Arguments[^1], place) : WholeInput(place.Scope);
        return new TopAggregate(limit, [.. over.OrderBy.Select(o => o.Descending)], asArray)
        {
            Arguments = [value, .. over.OrderBy.Select(o => new ReadNode(Bind(o.Key, place)))],
        };
    }

    private PercentileAggregate? BindPercentile(CallExpr call, Place place, bool continuous)
    {
        if (!CheckCount(call, 1, 1))
            return null;
        if (call.Arguments[0] is not LiteralExpr { Value.Kind: Kind.Bigint or Kind.Float } literal
            || (literal.Value.Kind == Kind.Bigint ? literal.Value.Bits : literal.Value.Double) is not (>= 0 and <= 1) and var fraction)
        {
            Error(call.Arguments[0].Position, $"{call.Name} needs a number from 0 to 1 here");
            return null;
        }

        fraction = literal.Value.Kind == Kind.Bigint ? literal.Value.Bits : literal.Value.Double;
        if (call.Over is not { OrderBy.Count: 1 } over)
        {
            Error(call.Position, $"{call.Name} needs OVER (ORDER BY one expression)");
            return null;
        }

        var key = Bind(over.OrderBy[0].Key, place);
        return new PercentileAggregate(fraction, continuous, over.OrderBy[0].Descending)
        {
            Arguments = [continuous ? new NumberNode(key, call.Name) : new ReadNode(key)],
        };
    }

    public static bool ContainsAggregate(Expr? expression) => Contains(expression, call => IsAggregate(call) && !IsMoving(call));

    public static CallExpr? FirstAggregate(Expr? expression)
    {
        CallExpr? first = null;
        Contains(expression, call =>
        {
            if (IsAggregate(call) && !IsMoving(call))
                first ??= call;
            return first is not null;
        });
        return first;
    }

    public static bool Contains(Expr? expression, Func<CallExpr, bool> test) => expression switch
    {
        CallExpr call => test(call) || call.Arguments.Exists(a => Contains(a, test)),
        MemberExpr member => Contains(member.Target, test),
        UnaryExpr unary => Contains(unary.Operand, test),
        BinaryExpr binary => Contains(binary.Left, test) || Contains(binary.Right, test),
        LogicExpr logic => logic.Operands.Exists(o => Contains(o, test)),
        IsNullExpr isNull => Contains(isNull.Operand, test),
        BetweenExpr between => Contains(between.Operand, test) || Contains(between.Low, test) || Contains(between.High, test),
        InExpr oneOf => Contains(oneOf.Operand, test) || oneOf.Items.Exists(i => Contains(i, test)),
        LikeExpr like => Contains(like.Operand, test) || Contains(like.Pattern, test),
        CaseExpr choice => Contains(choice.Operand, test) || Contains(choice.Otherwise, test)
            || choice.Branches.Exists(b => Contains(b.When, test) || Contains(b.Then, test)),
        CastExpr cast => Contains(cast.Operand, test),
        _ => false,
    };
}
