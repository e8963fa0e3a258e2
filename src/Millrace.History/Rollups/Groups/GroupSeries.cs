namespace Millrace.History.Rollups.Groups;

/// <summary>What devices are put together by. The numbers are stored and never change.</summary>
public enum GroupKind : byte
{
    /// <summary>All devices of a tenant.</summary>
    Fleet = 0,
    Type = 1,
    Tag = 2,
}

/// <summary>One group of a tenant's devices; its name is empty for the fleet and for devices without a type.</summary>
public readonly record struct GroupSeries(ushort Tenant, GroupKind Kind, string Name);
