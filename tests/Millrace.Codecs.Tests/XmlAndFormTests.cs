using FsCheck;
using FsCheck.Fluent;
using Millrace.Core;

namespace Millrace.Codecs.Tests;

public sealed class XmlAndFormTests
{
    [Theory]
    [InlineData("<reading id='m1'><value>20.50</value></reading>", """{"id":"m1","value":20.50}""")]
    [InlineData("<?xml version='1.0' encoding='utf-8'?>\n<!-- c --><r><deviceId>0017</deviceId><a/></r>", """{"deviceId":"0017","a":""}""")]
    [InlineData("<r id='m'><v>1</v><w>x</w><v>2</v></r>", """{"id":"m","v":[1,2],"w":"x"}""")]
    [InlineData("<r id='m'><v unit='C'>1</v></r>", """{"id":"m","v":{"unit":"C","value":1}}""")]
    [InlineData("<r id='m'>20.5</r>", """{"id":"m","value":20.5}""")]
    [InlineData("<r xmlns='urn:x' xmlns:y='urn:y' id='m'><y:v>1</y:v></r>", """{"id":"m","v":1}""")]
    [InlineData("<r id='m'><v>&lt;a&gt; &amp; &#233;</v></r>", """{"id":"m","v":"<a> & é"}""")]
    [InlineData("<r id='m'><v><![CDATA[<b>]]></v></r>", """{"id":"m","v":"<b>"}""")]
    [InlineData("<r id='1e3'><time>1768478400</time></r>", """{"id":"1e3","time":1768478400}""")]
    [InlineData("<r><originData><app><moteeui>ffffffffffffff01</moteeui></app></originData></r>", """{"originData":{"app":{"moteeui":"ffffffffffffff01"}}}""")]
    public void XML_is_seen_as_the_documented_object(string xml, string view)
    {
        var reading = Decoded.Xml(xml);

        Assert.Equal((PayloadFormat.Xml, xml), (reading.Format, reading.Payload));
        Assert.Equal(view, reading.View());
    }

    [Fact]
    public void XML_names_its_device_and_time()
    {
        var reading = Decoded.Xml("<r><id>m1</id><ts>1768478400</ts></r>");
        Assert.Equal(("m1", 1_768_478_400_000_000), (reading.Id, reading.DeviceTime));
        Assert.Equal("known", Decoded.Xml("<r><v>1</v></r>", "known").Id);
    }

    [Theory]
    [InlineData("", RejectReason.EmptyPayload)]
    [InlineData("text", RejectReason.InvalidXml)]
    [InlineData("<r id='m'><v>1</r>", RejectReason.InvalidXml)]
    [InlineData("<r id='m'/><r/>", RejectReason.InvalidXml)]
    [InlineData("<r id='m' id='n'/>", RejectReason.InvalidXml)]
    [InlineData("<r id='m'>&unknown;</r>", RejectReason.InvalidXml)]
    [InlineData("<!DOCTYPE r [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><r id='m'>&x;</r>", RejectReason.InvalidXml)]
    [InlineData("<!DOCTYPE r SYSTEM 'http://127.0.0.1/x.dtd'><r id='m'/>", RejectReason.InvalidXml)]
    [InlineData("<!DOCTYPE r [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;'>]><r id='m'>&b;</r>", RejectReason.InvalidXml)]
    [InlineData("<r><v>1</v></r>", RejectReason.MissingDevice)]
    [InlineData("<r id='m'><time>soon</time></r>", RejectReason.InvalidTime)]
    public void XML_that_is_no_reading_is_refused(string xml, RejectReason reason) => Assert.Equal(reason, Decoded.Xml(xml).Reason);

    [Fact]
    public void XML_has_bounds()
    {
        var deep = string.Concat(Enumerable.Repeat("<r>", 65)) + string.Concat(Enumerable.Repeat("</r>", 65));
        Assert.Equal(RejectReason.TooDeep, Decoded.Xml(deep, "m").Reason);
        Assert.Equal(RejectReason.TooDeep, Decoded.Xml(string.Concat(Enumerable.Repeat("<r>", 60_000)), "m").Reason);
        Assert.Equal(RejectReason.TooManyFields, Decoded.Xml("<r>" + string.Concat(Enumerable.Repeat("<v/>", 1024)) + "</r>", "m").Reason);
        Assert.Equal(RejectReason.TooLarge, Decoded.Xml("<r>" + new string('x', 256 << 10) + "</r>", "m").Reason);
        Assert.Equal(RejectReason.None, Decoded.Xml(string.Concat(Enumerable.Repeat("<r>", 63)) + "<r>1</r>" + string.Concat(Enumerable.Repeat("</r>", 63)), "m").Reason);
    }

    [Theory]
    [InlineData("id=m1&value=20.50&unit=%C2%B0C&note=two+words", "m1", """{"id":"m1","value":20.50,"unit":"°C","note":"two words"}""")]
    [InlineData("deviceId=0017&value=", "0017", """{"deviceId":"0017","value":""}""")]
    [InlineData("id=a%3Db%26c&&x=1&", "a=b&c", """{"id":"a=b&c","x":1}""")]
    public void A_form_is_seen_as_an_object_of_numbers_and_text(string form, string id, string view)
    {
        var reading = Decoded.Form(form);

        Assert.Equal((id, PayloadFormat.Form, form), (reading.Id, reading.Format, reading.Payload));
        Assert.Equal(view, reading.View());
    }

    [Theory]
    [InlineData("", RejectReason.EmptyPayload)]
    [InlineData("&&", RejectReason.EmptyPayload)]
    [InlineData("id", RejectReason.InvalidForm)]
    [InlineData("=1", RejectReason.InvalidForm)]
    [InlineData("id=m%2", RejectReason.InvalidForm)]
    [InlineData("id=m%zz", RejectReason.InvalidForm)]
    [InlineData("id=%FF", RejectReason.InvalidUtf8)]
    [InlineData("id=m&v=1&v=2", RejectReason.DuplicateKey)]
    [InlineData("value=1", RejectReason.MissingDevice)]
    [InlineData("id=m&time=soon", RejectReason.InvalidTime)]
    public void A_form_that_is_no_reading_is_refused(string form, RejectReason reason) => Assert.Equal(reason, Decoded.Form(form).Reason);

    [Fact]
    public void Arbitrary_text_never_throws() =>
        Prop.ForAll<string>(text =>
        {
            _ = Decoded.Xml("<r id='m'>" + text + "</r>");
            _ = Decoded.Xml(text ?? "");
            _ = Decoded.Form("id=m&v=" + text);
            _ = Decoded.Form(text ?? "");
            return true;
        }).QuickCheckThrowOnFailure();
}
